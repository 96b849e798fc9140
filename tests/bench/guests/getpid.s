# COUNT system calls that do next to nothing.

.ifndef COUNT
COUNT = 20000
.endif

    mov ebp, COUNT
    test ebp, ebp
    jz done
again:
    mov eax, SYS_getpid
    syscall
    dec ebp
    jnz again
done:
    xor edi, edi
    mov eax, SYS_exit
    syscall
