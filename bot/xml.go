package bot

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds nesting: <xml><SendPicsInfo><PicList><item><PicMd5Sum>.
const maxDepth = 6

// scanner reads the little XML that WeChat speaks: elements without attributes,
// text, CDATA. It has no DOCTYPE, entities (but XML's five and character
// references), comments or processing instructions (but a leading declaration),
// so there is nothing to expand. Unlike encoding/xml it lets control characters
// through, which people do type.
type scanner struct {
	src  []byte
	pos  int
	join *[]byte // memory for values in several pieces
	// item is the <List> being read, items those that ended (subscribe events).
	item  Subscription
	items []Subscription
}

// maxItems bounds the entries of a subscribe event; a prompt has three templates.
const maxItems = 20

// listed keeps what the leaves of <Subscribe…Event><List>…</List> say.
func (s *scanner) listed(depth int, name, value []byte) {
	switch {
	case depth == 3 && string(name) == "List" && len(s.items) < maxItems:
		s.items = append(s.items, s.item)
		s.item = Subscription{}
	case depth != 4:
	case string(name) == "TemplateId":
		s.item.TemplateID = text(value)
	case string(name) == "SubscribeStatusString":
		s.item.Status = text(value)
	case string(name) == "MsgID":
		s.item.MsgID, _ = strconv.ParseInt(string(value), 10, 64) // 0 is nobody's
	case string(name) == "ErrorStatus":
		s.item.Failure = text(value)
	}
}

// newScanner enters the root element <xml>.
func newScanner(src []byte, join *[]byte) (scanner, error) {
	s := scanner{src: src, join: join}
	s.space()
	if s.skip("<?xml") {
		end := bytes.Index(s.src[s.pos:], []byte("?>"))
		if end < 0 || bytes.IndexByte(s.src[s.pos:s.pos+end], '<') >= 0 {
			return s, errMalformed
		}
		s.pos += end + 2
		s.space()
	}
	if !s.skip("<xml>") {
		return s, errMalformed
	}
	return s, nil
}

// next returns the next child of the root: its name and, if it has no children,
// its value. The value is valid until the next call. done reports the end of a
// well-formed document.
func (s *scanner) next() (name, value []byte, done bool, err error) {
	s.space()
	if s.skip("</xml>") {
		s.space()
		if s.pos != len(s.src) {
			return nil, nil, false, errMalformed
		}
		return nil, nil, true, nil
	}
	name, value, err = s.element(2)
	return name, value, false, err
}

// element reads <name>…</name> (or <name/>) whose own nesting level is depth.
func (s *scanner) element(depth int) (name, value []byte, err error) {
	if depth > maxDepth || !s.skip("<") {
		return nil, nil, errMalformed
	}
	start := s.pos
	for s.pos < len(s.src) && nameByte(s.src[s.pos]) {
		s.pos++
	}
	name = s.src[start:s.pos]
	if len(name) == 0 {
		return nil, nil, errMalformed
	}
	if s.skip("/>") {
		return name, nil, nil
	}
	if !s.skip(">") {
		return nil, nil, errMalformed
	}
	if value, err = s.content(depth); err != nil {
		return nil, nil, err
	}
	if !s.skip("</") || !bytes.HasPrefix(s.src[s.pos:], name) {
		return nil, nil, errMalformed
	}
	s.pos += len(name)
	if !s.skip(">") {
		return nil, nil, errMalformed
	}
	return name, value, nil
}

// content reads up to the closing tag: text and CDATA in any order, or child
// elements, whose values are checked and dropped.
func (s *scanner) content(depth int) ([]byte, error) {
	var (
		value   []byte // the only piece so far, or everything in *s.join
		pieces  int
		cdata   bool
		element bool
	)
	own := func() { // from here on the value is in memory of its own
		if pieces < 2 {
			*s.join = append(grow(*s.join, len(s.src))[:0], value...)
		}
		pieces = 2
	}
	add := func(piece []byte) {
		if pieces == 0 {
			value, pieces = piece, 1
			return
		}
		own()
		*s.join = append(*s.join, piece...)
		value = *s.join
	}
	for s.pos < len(s.src) {
		switch rest := s.src[s.pos:]; {
		case bytes.HasPrefix(rest, []byte("</")):
			if element {
				return nil, nil
			}
			return value, nil
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			s.pos += len("<![CDATA[")
			end := bytes.Index(s.src[s.pos:], []byte("]]>"))
			if end < 0 || element {
				return nil, errMalformed
			}
			if !cdata && blank(value) {
				value, pieces = nil, 0 // white space before <![CDATA[ is layout
			}
			cdata = true
			add(s.src[s.pos : s.pos+end])
			s.pos += end + len("]]>")
		case rest[0] == '<':
			if cdata || !blank(value) {
				return nil, errMalformed
			}
			element = true
			name, value, err := s.element(depth + 1)
			if err != nil {
				return nil, err
			}
			s.listed(depth+1, name, value)
		case rest[0] == '&':
			if element {
				return nil, errMalformed
			}
			r, n := reference(rest)
			if n == 0 {
				return nil, errMalformed
			}
			s.pos += n
			own()
			*s.join = utf8.AppendRune(*s.join, r)
			value = *s.join
		default:
			end := bytes.IndexAny(rest, "<&")
			if end < 0 {
				return nil, errMalformed
			}
			text := rest[:end]
			if element && !blank(text) || bytes.Contains(text, []byte("]]>")) {
				return nil, errMalformed
			}
			if !cdata || !blank(text) {
				add(text)
			}
			s.pos += end
		}
	}
	return nil, errMalformed
}

// reference decodes one of XML's own entities or a character reference.
func reference(b []byte) (r rune, n int) {
	end := bytes.IndexByte(b[:min(len(b), 12)], ';')
	if end < 2 {
		return 0, 0
	}
	switch string(b[1:end]) { // without allocating
	case "lt":
		r = '<'
	case "gt":
		r = '>'
	case "amp":
		r = '&'
	case "quot":
		r = '"'
	case "apos":
		r = '\''
	default:
		if b[1] != '#' {
			return 0, 0
		}
		digits, base := string(b[2:end]), 10
		if len(digits) > 1 && digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		v, err := strconv.ParseUint(digits, base, 32)
		if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
			return 0, 0
		}
		r = rune(v)
	}
	return r, end + 1
}

func (s *scanner) space() {
	for s.pos < len(s.src) && isSpace(s.src[s.pos]) {
		s.pos++
	}
}

func (s *scanner) skip(prefix string) bool {
	if len(s.src)-s.pos < len(prefix) || string(s.src[s.pos:s.pos+len(prefix)]) != prefix {
		return false
	}
	s.pos += len(prefix)
	return true
}

func blank(b []byte) bool {
	for _, c := range b {
		if !isSpace(c) {
			return false
		}
	}
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
