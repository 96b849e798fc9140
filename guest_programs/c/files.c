/* Files: written, read back, looked at, refused. */

#include "vkernel.h"

int
main(void)
{
	static const char text[] = "all work and no play";
	struct iovec parts[2] = {{(void *)text, 9}, {(void *)(text + 8), 12}};
	struct stat status;
	char buffer[32];
	long fd, size;

	printf("open what is not there: %ld\n", sys_open("missing", O_RDONLY, 0));
	must(sys_mkdir("dir", 0755), "mkdir");
	fd = must(sys_open("dir/file", O_RDWR | O_CREAT | O_EXCL, 0640), "open");
	printf("write: %ld\n", sys_write(fd, (void *)text, sizeof(text) - 1));
	printf("writev: %ld\n", sys_writev(fd, parts, 2));
	printf("lseek: %ld\n", sys_lseek(fd, 0, -12, SEEK_END));
	size = must(sys_read(fd, buffer, sizeof(buffer) - 1), "read");
	buffer[size] = '\0';
	printf("read: %ld, \"%s\"\n", size, buffer);
	printf("read at the end: %ld\n", sys_read(fd, buffer, sizeof(buffer)));
	must(sys_fstat(fd, &status), "fstat");
	printf("%ld bytes, mode %x, kind %x\n", status.st_size, status.st_mode & 0777,
	    status.st_mode & S_IFMT);
	printf("close: %ld\n", sys_close(fd));
	printf("close again: %ld\n", sys_close(fd));
	printf("remove the directory: %ld\n", sys_rmdir("dir"));
	printf("remove the file: %ld\n", sys_unlink("dir/file"));
	printf("remove the directory: %ld\n", sys_rmdir("dir"));
	return (0);
}
