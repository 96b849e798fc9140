/*
 * What every guest in C is linked with: the way in and out, the functions the
 * compiler itself calls, and a printf.
 */

#include <stdarg.h>

#include "vkernel.h"

#define LINE_MAX 256

int main(int argc, char **argv, char **envp);

/* The kernel starts a program as if it had called this, rdi = args. */
_Noreturn void
_start(long *args)
{
	int argc = args[0];
	char **argv = (char **)(args + 1);

	exit(main(argc, argv, argv + argc + 1));
}

_Noreturn void
exit(int status)
{
	for (;;)
		sys_exit(status);
}

long
must(long result, const char *what)
{
	if (result < 0) {
		printf("%s: error %ld\n", what, -result);
		exit(1);
	}
	return (result);
}

/* In assembly, or the compiler would make of each loop a call of itself. */
void *
memcpy(void *to, const void *from, size_t size)
{
	void *at = to;

	__asm__ volatile("rep movsb"
	    : "+D"(at), "+S"(from), "+c"(size) : : "memory");
	return (to);
}

void *
memset(void *to, int byte, size_t size)
{
	void *at = to;

	__asm__ volatile("rep stosb"
	    : "+D"(at), "+c"(size) : "a"(byte) : "memory");
	return (to);
}

void *
memmove(void *to, const void *from, size_t size)
{
	char *end = (char *)to + size - 1;
	const char *last = (const char *)from + size - 1;

	if ((uintptr_t)to - (uintptr_t)from >= size)
		return (memcpy(to, from, size));
	__asm__ volatile("std; rep movsb; cld"
	    : "+D"(end), "+S"(last), "+c"(size) : : "cc", "memory");
	return (to);
}

int
memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *p = a, *q = b;

	for (; size > 0; size--, p++, q++)
		if (*p != *q)
			return (*p - *q);
	return (0);
}

size_t
strlen(const char *string)
{
	const char *end = string;

	while (*end != '\0')
		end++;
	return (end - string);
}

/* A line in the making: what does not fit is left out. */
struct line {
	char text[LINE_MAX];
	size_t length;
};

static void
put(struct line *line, char c)
{
	if (line->length < LINE_MAX)
		line->text[line->length++] = c;
}

static void
put_padded(struct line *line, const char *text, size_t length, int width)
{
	for (int fill = width - (int)length; fill > 0; fill--)
		put(line, ' ');
	for (size_t i = 0; i < length; i++)
		put(line, text[i]);
	for (int fill = -width - (int)length; fill > 0; fill--)
		put(line, ' ');
}

static void
put_number(struct line *line, u_long value, u_long base, int negative, int width)
{
	char digits[24];
	size_t at = sizeof(digits);

	do
		digits[--at] = "0123456789abcdef"[value % base];
	while ((value /= base) != 0);
	if (negative)
		digits[--at] = '-';
	put_padded(line, digits + at, sizeof(digits) - at, width);
}

/*
 * %c %s %d %u %x, the numbers also as %ld and so on, right-justified in a width
 * or, if it is negative, left-justified.  One write, so that lines stay whole.
 */
void
printf(const char *format, ...)
{
	struct line line = {.length = 0};
	va_list args;

	va_start(args, format);
	for (; *format != '\0'; format++) {
		int width = 0, left = 0, is_long = 0;
		const char *string;
		char c;
		long value;

		if (*format != '%') {
			put(&line, *format);
			continue;
		}
		if (*++format == '-') {
			left = 1;
			format++;
		}
		for (; *format >= '0' && *format <= '9'; format++)
			width = 10 * width + *format - '0';
		if (left)
			width = -width;
		if (*format == 'l') {
			is_long = 1;
			format++;
		}
		switch (*format) {
		case 'c':
			c = va_arg(args, int);
			put_padded(&line, &c, 1, width);
			break;
		case 's':
			string = va_arg(args, const char *);
			put_padded(&line, string, strlen(string), width);
			break;
		case 'd':
			value = is_long ? va_arg(args, long) : va_arg(args, int);
			put_number(&line, value < 0 ? -(u_long)value : (u_long)value,
			    10, value < 0, width);
			break;
		case 'u':
		case 'x':
			value = is_long ? va_arg(args, long) : (long)va_arg(args, u_int);
			put_number(&line, value, *format == 'u' ? 10 : 16, 0, width);
			break;
		default:
			put(&line, *format);
		}
	}
	va_end(args);
	sys_write(1, line.text, line.length);
}
