// Tells the syntax errors in PowerShell scripts: node --liftoff-only powershell.mjs MODULES FILE... PowerShell itself is in no
// package of Debian; a grammar of it is in one of npm, below MODULES. (Optimizing the grammar would take a minute.)
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const [modules, ...files] = process.argv.slice(2)
const { resolve } = createRequire(modules + '/')
const { Parser, Language } = await import(resolve('web-tree-sitter'))
await Parser.init()
const parser = new Parser()
parser.setLanguage(await Language.load(resolve('tree-sitter-powershell/tree-sitter-powershell.wasm')))

let errors = 0
const walk = (file, node) => {
  if (node.isError || node.isMissing) {
    errors++
    console.error(`${file}:${node.startPosition.row + 1}:${node.startPosition.column + 1}: ${node.isMissing ? 'missing ' + node.type : 'syntax error'}`)
  }
  node.children.forEach(child => walk(file, child))
}
for (const file of files) walk(file, parser.parse(readFileSync(file, 'utf8')).rootNode)
process.exit(errors || !files.length ? 1 : 0)
