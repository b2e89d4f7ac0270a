package config

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Options say where to look.
type Options struct {
	File    string            // YAML file; empty: YCD_CONFIG, and if that is empty none
	Environ []string          // as os.Environ gives it
	Flags   map[string]string // path → value from the command line, such as "roles"; empty values do not count
}

// Load reads the configuration and validates it. The error is a Faults that
// lists everything wrong; the Config is then as complete as could be.
func Load(o Options) (*Config, error) {
	var faults Faults
	c := &Config{origins: map[string]string{}, given: map[string]bool{}}
	known := map[string]variable{}
	for _, v := range variables(c) {
		known[v.path] = v
	}
	layers := o.layers(known, &faults)
	c.Env = Development
	for _, l := range layers {
		if l.Exists("env") {
			c.Env = strings.TrimSpace(l.String("env"))
		}
	}
	c.setDefaults()
	for _, v := range variables(c) {
		c.apply(v, layers, &faults)
	}
	c.derive()
	if err := c.Validate(); err != nil {
		faults = append(faults, err.(Faults)...) //nolint:errorlint // Validate returns nothing else
	}
	return c, faults.err()
}

// layer is one source of values.
type layer struct {
	*koanf.Koanf
	name func(path string) string // how the source calls a path
}

// layers reads the sources, weakest first.
func (o Options) layers(known map[string]variable, faults *Faults) []layer {
	var layers []layer
	environ, configFile := o.environment(known, faults)
	path := o.File
	if path == "" {
		path = configFile
	}
	if path != "" {
		k := koanf.New(".")
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			faults.add("YCD_CONFIG", "reading %s: %v", path, err)
		}
		for _, key := range k.Keys() {
			if !isKnown(known, key) {
				faults.add(key, "is not a setting (in %s); remove it or correct the spelling", path)
			}
		}
		layers = append(layers, layer{k, func(p string) string { return path + " " + p }})
	}
	layers = append(layers, layer{environ, func(p string) string { return "environment " + envName(p) }})
	flags := koanf.New(".")
	for _, p := range slices.Sorted(maps.Keys(o.Flags)) {
		if v := o.Flags[p]; v != "" {
			_ = flags.Set(p, v) // fails only for a nil map
		}
	}
	return append(layers, layer{flags, func(p string) string { return "command line --" + strings.ReplaceAll(p, "_", "-") }})
}

// environment reads the YCD_ variables; an empty one counts as not set.
func (o Options) environment(known map[string]variable, faults *Faults) (k *koanf.Koanf, configFile string) {
	byEnv := map[string]string{}
	for path, v := range known {
		byEnv[v.env()] = path
		if v.secret {
			byEnv[v.env()+"_FILE"] = path + "_file"
		}
	}
	k = koanf.New(".")
	_ = k.Load(env.Provider(".", env.Opt{
		Prefix:      "YCD_",
		EnvironFunc: func() []string { return slices.Sorted(slices.Values(o.Environ)) },
		TransformFunc: func(name, value string) (string, any) {
			if name == "YCD_CONFIG" {
				configFile = value
				return "", nil
			}
			path, ok := byEnv[name]
			if !ok {
				faults.add(name, "is not a variable of this product; remove it or correct the spelling")
			}
			if value == "" {
				return "", nil
			}
			return path, value
		},
	}), nil) // reading a slice cannot fail
	return k, configFile
}

// isKnown accepts a variable's path, its _file twin and the entries of a map.
func isKnown(known map[string]variable, key string) bool {
	if _, ok := known[key]; ok {
		return true
	}
	if path, ok := strings.CutSuffix(key, "_file"); ok && known[path].secret {
		return true
	}
	for path, v := range known {
		if _, isMap := v.field.Interface().(map[string]string); isMap && strings.HasPrefix(key, path+".") {
			return true
		}
	}
	return false
}

// apply sets one variable from the strongest layer that has it.
func (c *Config) apply(v variable, layers []layer, faults *Faults) {
	var direct, byFile bool
	for _, l := range layers {
		if l.Exists(v.path) {
			direct = true
			if err := v.set(l.Get(v.path)); err != nil {
				faults.add(v.env(), "%v (from %s)", err, l.name(v.path))
			}
			c.origins[v.path] = l.name(v.path)
		}
		if !v.secret || !l.Exists(v.path+"_file") {
			continue
		}
		byFile = true
		name := l.String(v.path + "_file")
		text, err := os.ReadFile(name) //nolint:gosec // the operator names the file
		if err != nil {
			faults.add(v.env()+"_FILE", "%v", err)
			continue
		}
		_ = v.set(string(text)) // a secret takes any text
		c.origins[v.path] = "file " + name
	}
	c.given[v.path] = direct || byFile
	if direct && byFile {
		faults.add(v.env(), "is set both directly and as %s_FILE; keep one", v.env())
	}
}

// WatchApart reports whether readiness and metrics have an address that strangers do not
// reach. Processes without the web have no other visitors on Listen.
func (c *Config) WatchApart() bool {
	return c.HasRole(RoleWeb) && c.WatchListen != "" && c.WatchListen != c.Listen
}

// WatchURL is where this process tells whether it is ready, for who asks on its host.
func (c *Config) WatchURL() string {
	if c.WatchApart() {
		return urlOf(c.WatchListen)
	}
	return urlOf(c.Listen)
}

// urlOf is the address of what listens, for its own host.
func urlOf(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// derive fills what follows from other values.
func (c *Config) derive() {
	if c.PublicURL == "" && !c.Production() {
		if c.PublicURL = urlOf(c.Listen); c.PublicURL != "" {
			c.origins["public_url"] = "from listen"
		}
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if c.CA.PKI == "" && c.PublicURL != "" {
		c.CA.PKI = "http://" + strings.TrimPrefix(strings.TrimPrefix(c.PublicURL, "https://"), "http://") + "/pki"
		c.origins["ca.pki"] = "from public_url"
	}
	for _, p := range c.platforms() {
		if c.isReal(p) && *p.address == "" {
			*p.address = p.host
			c.origins[p.addressPath] = "from " + p.publicPath
		}
	}
	if c.DatabaseURL.Empty() && !c.Production() {
		c.DatabaseURL = NewSecret(fmt.Sprintf("sqlite:%s", filepath.Join(c.DataDir, "yuncaidun.db")))
		c.origins["database_url"] = "from data_dir"
	}
}
