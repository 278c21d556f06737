package nswatch

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// hidden is what a terminal obeys, or what looks like nothing or like another character: the ranges of src/printable.rs.
var hidden = [...][2]rune{
	{0x0000, 0x0020},
	{0x007f, 0x00a0},
	{0x00ad, 0x00ad},
	{0x061c, 0x061c},
	{0x1680, 0x1680},
	{0x180b, 0x180f},
	{0x2000, 0x200f},
	{0x2028, 0x202f},
	{0x205f, 0x206f},
	{0x3000, 0x3000},
	{0xfeff, 0xfeff},
	{0xfff0, 0xfffb},
	{0x13430, 0x1343f},
	{0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff},
}

// Printable is a name or a path such that a terminal shows it and does not obey it, and that it cannot pass for another
// one, another word or another line.
//
// Printable characters stay as they are. Escaped are spaces (`\x20`), backslashes and quotes (`\\`, `\"`, `\'`), control
// characters and those that are invisible or reverse the text (`\n`, `\u{1b}`), and bytes that are not UTF-8 (`\xff`).
// String of an Event, the nswatch command, Rust and Python write names in the same form.
func Printable(text string) string {
	var safe strings.Builder
	for len(text) > 0 {
		char, size := utf8.DecodeRuneInString(text)
		switch {
		case char == utf8.RuneError && size == 1:
			safe.WriteString(`\x` + strconv.FormatUint(uint64(text[0]), 16))
		case char == ' ':
			safe.WriteString(`\x20`)
		case char == '\t':
			safe.WriteString(`\t`)
		case char == '\n':
			safe.WriteString(`\n`)
		case char == '\r':
			safe.WriteString(`\r`)
		case char == '\\' || char == '\'' || char == '"':
			safe.WriteByte('\\')
			safe.WriteRune(char)
		case isHidden(char):
			safe.WriteString(`\u{` + strconv.FormatInt(int64(char), 16) + `}`)
		default:
			safe.WriteRune(char)
		}
		text = text[size:]
	}
	return safe.String()
}

func isHidden(char rune) bool {
	for _, each := range hidden {
		if each[0] <= char && char <= each[1] {
			return true
		}
	}
	return false
}
