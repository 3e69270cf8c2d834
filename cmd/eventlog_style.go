package cmd

// pageStyle is the style sheet of the page. It names fonts that systems have, loads nothing, and needs no width: what is
// long wraps. Colour only repeats what a word and a sign say.
const pageStyle = `
:root {
  --paper: #fdfcfa; --ink: #22262b; --soft: #676d75; --line: #e5e1da; --tint: #f5f2ec;
  --bound: #1d6b45; --named: #8a8f97; --broken: #b3261e; --alert: #fbf1e6;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181b; --ink: #dfe1e4; --soft: #969ca5; --line: #30343a; --tint: #1e2125;
    --bound: #71c596; --named: #7d848d; --broken: #f08a80; --alert: #2b231a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 3rem 1.5rem 4rem; max-width: 56rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%;
}
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; font-weight: 650; letter-spacing: -.015em; }
h2 { margin: 3.2rem 0 1rem; font-size: 1.2rem; font-weight: 650; letter-spacing: -.005em; }
h3 { margin: 0; font-size: 1rem; font-weight: 650; }
p { margin: .3rem 0; }
ul, ol { margin: 0; padding: 0; list-style: none; }
a { color: inherit; text-decoration-color: var(--line); text-underline-offset: .2em; }
a:hover { text-decoration-color: currentColor; }
code { font: .9em/1.5 var(--mono); }
.digest { font-size: .8em; color: var(--soft); word-break: break-all; }
.source, .where, .about, .changes, .legend, .name, .notes, footer, summary { color: var(--soft); }
.source { margin: .4rem 0 0; }
.esc { border: 1px solid var(--named); border-radius: 3px; padding: 0 .2em; font: .8em var(--mono); color: var(--soft); }

.facts { margin: 2rem 0 0; border-top: 1px solid var(--line); }
.facts div { display: grid; grid-template-columns: 9rem 1fr; gap: 1rem; padding: .55rem 0; border-bottom: 1px solid var(--line); }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
.good { color: var(--bound); } .bad { color: var(--broken); } .unsure { color: var(--soft); }

.tag { white-space: nowrap; font-size: .8rem; color: var(--soft); }
.tag.bound { color: var(--bound); } .tag.broken { color: var(--broken); font-weight: 650; }

.alerts { margin-top: 2rem; padding: 1.1rem 1.3rem; background: var(--alert); border-left: 3px solid var(--broken); border-radius: 2px; }
.alerts h2 { margin: 0 0 .4rem; font-size: 1rem; }
.share { margin-right: 1.2rem; white-space: nowrap; }
.share .tag { font-size: inherit; }
.alerts li, .story ul > li { display: grid; grid-template-columns: 1fr 12.5rem; column-gap: 1.5rem; align-items: baseline; padding: .16rem 0; }
.where { font-size: .8rem; display: grid; grid-template-columns: 4.6rem 1fr; font-variant-numeric: tabular-nums; }

.story { border-left: 1px solid var(--line); margin-left: .3rem; padding-left: 1.6rem; }
.story > li { position: relative; padding-bottom: 1.4rem; }
.story > li::before {
  content: ""; position: absolute; left: calc(-1.6rem - 4.5px); top: .55rem; width: 8px; height: 8px;
  border-radius: 50%; background: var(--paper); border: 2px solid var(--soft); box-sizing: border-box;
}
.story h3 { margin-bottom: .5rem; }
summary { cursor: pointer; font-size: .9rem; padding: .2rem 0; }
details[open] > summary { margin-bottom: .5rem; }

.phases { display: flex; margin: 0 3rem .5rem 5rem; gap: 2px; font-size: .8rem; line-height: 1.3; }
.phases div { flex-basis: 0; min-width: 0; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; border-top: 2px solid var(--soft); padding-top: .25rem; }
.phases b { font-weight: 600; } .phases span { color: var(--soft); }
.lanes { display: grid; grid-template-columns: 4rem 1fr 2rem; column-gap: 1rem; align-items: center; font-size: .8rem; }
.lanes a { text-decoration: none; white-space: nowrap; font-variant-numeric: tabular-nums; }
.lanes svg { width: 100%; height: 1.35rem; padding: .2rem 0; border-bottom: 1px solid var(--line); display: block; }
.lanes .count { text-align: right; color: var(--soft); font-variant-numeric: tabular-nums; }
rect.bound { fill: var(--bound); } rect.named { fill: var(--named); } rect.broken { fill: var(--broken); }
.legend { font-size: .8rem; margin-top: .8rem; }

.pcr { padding: 1.3rem 0 1rem; border-top: 1px solid var(--line); scroll-margin-top: 1rem; }
.pcr h3 { font-size: 1.05rem; } .pcr .name { font-weight: 400; margin-left: .3rem; }
.values { display: grid; grid-template-columns: 5rem 1fr; gap: .1rem 1rem; margin: .6rem 0; font-size: .9rem; }
.events li { padding: .6rem 0 .7rem 1rem; border-left: 1px solid var(--line); }
.events .what { margin: 0; } .events b { font-weight: 500; color: var(--soft); font-variant-numeric: tabular-nums; }
.about { font-size: .8rem; margin: .1rem 0 0; }
.notes li { padding: .2rem 0; font-size: .9rem; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .85rem; }

@media (max-width: 36rem) {
  body { padding: 1.6rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  .facts div { grid-template-columns: 1fr; gap: 0; }
  .alerts li, .story ul > li { grid-template-columns: 1fr; padding-bottom: .5rem; }
  .values { grid-template-columns: 1fr; gap: 0; }
  .values dd { margin-bottom: .4rem; }
  .phases { margin-left: 4.5rem; margin-right: 2.5rem; } .phases span { display: none; }
  .lanes { grid-template-columns: 4rem 1fr 2rem; column-gap: .5rem; }
}
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --bound: #000; --named: #888; --broken: #000; --alert: #fff; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2, h3 { break-after: avoid; } li, .facts div { break-inside: avoid; }
  rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  a { text-decoration: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
`
