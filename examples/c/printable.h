/*
 * Prints names that others chose, escaped for a terminal.
 *
 * A name may have any bytes but '/' and NUL. print_name() escapes spaces, quotes, backslashes, control characters,
 * characters that are invisible or reverse the text, and bytes that are not UTF-8, in the form of the nswatch command
 * ("\x20", "\u{1b}", "\xff").
 */
#ifndef PRINTABLE_H
#define PRINTABLE_H

#include <stddef.h>
#include <stdio.h>

/* Stores the first character of a string, and returns its number of bytes; 0: not UTF-8. */
static inline size_t utf8_character(const char *text, unsigned long *character)
{
	static const unsigned long least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)text[0];
	size_t length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;

	*character = length < 2 ? first : first & (0x7fu >> length);
	/* stops at the NUL: it is no continuation byte */
	for (size_t i = 1; i < length; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
		*character = *character << 6 | ((unsigned char)text[i] & 0x3f);
	}
	if (length && (*character < least[length] || *character > 0x10ffff || *character >> 11 == 0x1b))
		return 0;
	return length;
}

/* Characters that control a terminal or show nothing: the ranges of src/printable.rs. */
static inline int is_hidden(unsigned long character)
{
	static const unsigned long hidden[][2] = {
		{ 0x0000, 0x0020 },   { 0x007f, 0x00a0 },   { 0x00ad, 0x00ad },   { 0x034f, 0x034f },
		{ 0x061c, 0x061c },   { 0x115f, 0x1160 },   { 0x1680, 0x1680 },   { 0x17b4, 0x17b5 },
		{ 0x180b, 0x180f },   { 0x2000, 0x200f },   { 0x2028, 0x202f },   { 0x205f, 0x206f },
		{ 0x2800, 0x2800 },   { 0x3000, 0x3000 },   { 0x3164, 0x3164 },   { 0xfe00, 0xfe0f },
		{ 0xfeff, 0xfeff },   { 0xffa0, 0xffa0 },   { 0xfff0, 0xfffb },   { 0x13430, 0x1343f },
		{ 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
	};

	for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++)
		if (hidden[i][0] <= character && character <= hidden[i][1])
			return 1;
	return 0;
}

static inline void print_name(FILE *out, const char *name)
{
	while (*name) {
		unsigned long character;
		size_t length = utf8_character(name, &character);

		if (length == 0)
			fprintf(out, "\\x%02x", (unsigned char)*name);
		else if (character == ' ')
			fputs("\\x20", out);
		else if (character == '\t' || character == '\n' || character == '\r')
			fprintf(out, "\\%c", character == '\t' ? 't' : character == '\n' ? 'n' : 'r');
		else if (character == '\\' || character == '\'' || character == '"')
			fprintf(out, "\\%c", (int)character);
		else if (is_hidden(character))
			fprintf(out, "\\u{%lx}", character);
		else
			fwrite(name, 1, length, out);
		name += length ? length : 1;
	}
}

#endif
