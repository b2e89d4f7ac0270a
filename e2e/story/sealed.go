package story

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sealed looks for the personal values of the form in every file of the data
// folder, its database, write-ahead log and logs included. The playground's
// folder is other people's memory.
func (p *player) sealed() {
	var planted []string
	for _, f := range Personal {
		planted = append(planted, form[f])
	}
	found, err := filesWith(p.instance.DataDir, planted)
	try(err)
	p.check(len(found) == 0, "数据文件与日志中没有个人信息明文", strings.Join(found, "; "))
}

// filesWith are the files below dir that hold one of the values, each with the
// number of the value; the simulators' folder,
// which is the outside world, is left out.
func filesWith(dir string, values []string) (found []string, err error) {
	return found, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "playground":
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		content, err := os.ReadFile(path) //nolint:gosec // walked
		for _, v := range values {
			if bytes.Contains(content, []byte(v)) {
				found = append(found, path+" holds "+v)
			}
		}
		return err
	})
}
