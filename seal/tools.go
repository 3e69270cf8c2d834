package seal

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// ToolCommands are the commands of tpm2-tools that open the object of f, once its parts are in the files public and
// private. Where the parent is made anew the first command makes it, as parentForSealing does.
func (f *File) ToolCommands(public, private string) ([]string, error) {
	p := f.policy(Opening{})
	pcrs, err := p.selection()
	if err != nil {
		return nil, damaged(err)
	}
	parent := handleText(f.Key.Parent)
	var commands []string
	if f.Key.Parent == tpm2.TPMRHOwner {
		alg := "ecc256"
		if f.Key.RSAParent {
			alg = "rsa2048"
		}
		parent = "primary.ctx"
		commands = append(commands, fmt.Sprintf("tpm2_createprimary -C o -g sha256 -G %s -c %s "+
			"-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt'", alg, parent))
	}
	commands = append(commands, fmt.Sprintf("tpm2_load -C %s -u %s -r %s -c object.ctx", parent, public, private))
	if !p.needsPIN() {
		auth := ""
		if len(pcrs) > 0 {
			auth = " -p pcr:" + pcrs.String()
		}
		return append(commands, "tpm2_unseal -c object.ctx"+auth), nil
	}
	return append(commands,
		"tpm2_startauthsession --policy-session -S session.ctx",
		fmt.Sprintf("tpm2_policypcr -S session.ctx -l %s", pcrs),
		"tpm2_policyauthvalue -S session.ctx",
		`tpm2_unseal -c object.ctx -p session:session.ctx+"$(cat PIN_FILE)"`), nil
}
