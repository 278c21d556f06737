package nswatch

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// hidden are the characters that control a terminal or show nothing: the ranges of src/printable.rs.
var hidden = [...][2]rune{
	{0x0000, 0x0020},
	{0x007f, 0x00a0},
	{0x00ad, 0x00ad},
	{0x034f, 0x034f},
	{0x061c, 0x061c},
	{0x115f, 0x1160},
	{0x1680, 0x1680},
	{0x17b4, 0x17b5},
	{0x180b, 0x180f},
	{0x2000, 0x200f},
	{0x2028, 0x202f},
	{0x205f, 0x206f},
	{0x2800, 0x2800},
	{0x3000, 0x3000},
	{0x3164, 0x3164},
	{0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},
	{0xffa0, 0xffa0},
	{0xfff0, 0xfffb},
	{0x13430, 0x1343f},
	{0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff},
}

// Printable returns a name or a path escaped for a terminal, as one word on one line.
//
// It escapes spaces (`\x20`), backslashes and quotes (`\\`, `\"`, `\'`), control characters and those that show nothing or
// reverse the text (`\n`, `\u{1b}`), and bytes that are not UTF-8 (`\xff`). Printable characters stay, also those that look
// like others. String of an Event, the nswatch command, Rust and Python use the same form.
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
