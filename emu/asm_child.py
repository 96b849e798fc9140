"""The child process of the assembler: encodes, or finds the statement that cannot be encoded.

Keystone may crash it or loop for ever: what matters is written before a try, not after.  It is
run by path, without this package, and imports next to nothing: every assembly waits for it.
"""

import json
import os
import sys
from collections.abc import Callable, MutableSequence, Sequence

ENCODED = b"encoded\n"  # begins the answer if there is code
_MEMORY_LIMIT = 4 << 30


def main(keystone_folder: str, cpu_seconds: str) -> None:
    _limit_damage(int(cpu_seconds))
    sys.path.append(keystone_folder)
    import keystone

    def encode(text: str, names: list[str] | None = None) -> bytes | str:
        """Return the code, or the reason there is none.  Collect unknown names if wanted."""
        assembler = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
        if names is not None:

            def resolve(name: bytes, value: MutableSequence[int]) -> bool:
                names.append(name.decode())
                value[0] = request["origin"]
                return True

            assembler.sym_resolver = resolve
        try:
            code, _ = assembler.asm(text, request["origin"], as_bytes=True)
        except keystone.KsError as error:
            reason = str(error).partition(" (KS_ERR")[0]
            if reason == "Invalid fixup":
                return "a value or the distance of a jump does not fit"
            return reason[:1].lower() + reason[1:]
        return bytes(code or b"")

    request = json.load(sys.stdin)
    if "text" in request:
        result = encode(request["text"])
        sys.stdout.buffer.write(result.encode() if isinstance(result, str) else ENCODED + result)
    else:
        _find_culprit(request["statements"], request["constants"], request["own"], encode)


def _find_culprit(
    statements: Sequence[tuple[str, bool, bool]],
    constants: Sequence[str],
    own: str,
    encode: Callable[[str, list[str]], bytes | str],
) -> None:
    """Write lines "index" before a try, "index reason" for the statement that is wrong."""
    after = "\n" + "\n".join(constants) + "\n"
    defined = {text.split()[0].rstrip(":") for text, definition, _ in statements if definition}
    for index, (text, definition, instruction) in enumerate(statements):
        os.write(1, b"%d\n" % index)
        if definition and text.endswith(":"):
            continue
        names: list[str] = []
        result = encode(text + after, names)
        for name in names:
            if name not in defined and not name.startswith(own):
                os.write(1, f"{index} symbol {name} is not defined\n".encode())
                return
        if instruction and not result:
            result = "the assembler made nothing of this"
        if isinstance(result, str) and not definition:
            os.write(1, f"{index} {result}\n".encode())
            return

    # Each is right by itself: find the shortest beginning of the program that is wrong.
    def encode_first(count: int) -> bytes | str:
        os.write(1, f"{count - 1} the assembler crashed on this or before it\n".encode())
        return encode("\n".join(text for text, *_ in statements[:count]) + after, [])

    right, wrong = 0, len(statements)
    while wrong - right > 1:
        middle = (right + wrong) // 2
        if isinstance(encode_first(middle), str):
            wrong = middle
        else:
            right = middle
    reason = encode_first(wrong)
    if isinstance(reason, str):
        os.write(1, f"{wrong - 1} {reason}\n".encode())
    else:
        os.write(1, b"none\n")


def _limit_damage(cpu_seconds: int) -> None:
    """Let a crash leave no core file, and no source fill the host's memory or keep it busy."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if resource.getrlimit(resource.RLIMIT_CPU)[1] == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    ours = resource.getrlimit(resource.RLIMIT_AS)  # what is less may not be raised
    most = min([_MEMORY_LIMIT, *(each for each in ours if each != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(*sys.argv[1:])
