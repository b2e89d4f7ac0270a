package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// variable is one leaf of Config.
type variable struct {
	path   string // wechat.app_id
	field  reflect.Value
	secret bool
}

// env is the variable's name in the environment, which faults use too.
func (v variable) env() string { return envName(v.path) }

func envName(path string) string {
	return "YCD_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// variables lists the leaves of c in the order they are declared.
func variables(c *Config) []variable {
	var vs []variable
	var walk func(prefix string, s reflect.Value)
	walk = func(prefix string, s reflect.Value) {
		for i := range s.NumField() {
			tag := s.Type().Field(i).Tag.Get("koanf")
			if tag == "" {
				continue
			}
			f := s.Field(i)
			_, secret := f.Interface().(Secret)
			if f.Kind() == reflect.Struct && !secret {
				walk(prefix+tag+".", f)
				continue
			}
			vs = append(vs, variable{path: prefix + tag, field: f, secret: secret})
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	return vs
}

// set gives the variable a value as it stands in a YAML file or the environment.
// The error says what to write instead and never repeats the value.
func (v variable) set(raw any) error {
	text := strings.TrimSpace(fmt.Sprint(raw))
	switch p := v.field.Addr().Interface().(type) {
	case *string:
		*p = text
	case *Secret:
		*p = NewSecret(text)
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("must be true or false")
		}
		*p = b
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("must be a whole number")
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("must be a duration such as 60s or 5m")
		}
		*p = d
	case *[]string:
		*p = words(raw)
	case *map[string]string:
		m, err := pairs(raw)
		if err != nil {
			return err
		}
		*p = m
	default:
		panic("config: no way to set " + v.path) // a new kind of field: found by the first test
	}
	return nil
}

// words reads a YAML list or a comma-separated text.
func words(raw any) []string {
	var ws []string
	add := func(w string) {
		if w = strings.TrimSpace(w); w != "" {
			ws = append(ws, w)
		}
	}
	if list, ok := raw.([]any); ok {
		for _, item := range list {
			add(fmt.Sprint(item))
		}
		return ws
	}
	for w := range strings.SplitSeq(fmt.Sprint(raw), ",") {
		add(w)
	}
	return ws
}

// pairs reads a YAML map or a text of the form a=1,b=2.
func pairs(raw any) (map[string]string, error) {
	m := map[string]string{}
	if given, ok := raw.(map[string]any); ok {
		for k, v := range given {
			m[k] = fmt.Sprint(v)
		}
		return m, nil
	}
	for _, w := range words(raw) {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" || v == "" {
			return nil, fmt.Errorf("must be a list such as code=1001,shipped=1002")
		}
		m[k] = v
	}
	return m, nil
}
