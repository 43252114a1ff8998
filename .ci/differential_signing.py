"""Signing: dryburn's espsecure against the vendor's, file by file and verdict by verdict.

    python .ci/differential_signing.py --dryburn PATH [--seed N] [--tampered N]

Needs the vendor's esptool package (it brings espsecure) in this Python. For each scheme, what either tool signs the other
must verify; what is deterministic (v1 signatures, bootloader digests, public keys, key digests) must be the same bytes; and
damaged files must get the same verdict from both. Ends with `N passed, N failed`; exit status 1 if anything failed.
"""

import argparse
import contextlib
import io
import os
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

os.environ.setdefault("NO_COLOR", "1")
os.environ.setdefault("TERM", "dumb")

import espsecure  # noqa: E402

SCHEMES = ("rsa3072", "ecdsa192", "ecdsa256", "ecdsa384")
SECTOR, BLOCK, CRC_AT = 4096, 1216, 1196


class Tools:
    """Both tools, run in one folder; each answers with whether it succeeded."""

    def __init__(self, dryburn, folder):
        self.dryburn, self.folder = dryburn, folder

    def ours(self, *words):
        done = subprocess.run(
            [self.dryburn, "espsecure", *map(str, words)], cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        if done.returncode not in (0, 2):
            raise SystemExit(f"dryburn {words}: exit status {done.returncode}\n{done.stderr}")
        return done.returncode == 0, done.stdout + done.stderr

    def theirs(self, *words):
        """In this process, because the tool takes a second to start. A crash counts as a refusal."""
        text = io.StringIO()
        argv, sys.argv = sys.argv, ["espsecure", *map(str, words)]
        try:
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                espsecure._main()
            good = True
        except SystemExit as end:
            good = end.code in (0, None)
        except Exception as crash:  # noqa: BLE001
            good = False
            text.write(f"{type(crash).__name__}: {crash}\n")
        finally:
            sys.argv = argv
        return good, text.getvalue()


class Score:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, what):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print("FAILED", what, flush=True)


def with_crc(data, sector_at, block=0):
    """The file with the CRC of a signature block put right."""
    start = sector_at + block * BLOCK
    crc = zlib.crc32(data[start : start + CRC_AT])
    return data[: start + CRC_AT] + struct.pack("<I", crc) + data[start + CRC_AT + 4 :]


def same_file(score, tools, folder, what, *words):
    """Both tools write the file `out`; it must be the same bytes."""
    files = []
    for tool in (tools.ours, tools.theirs):
        (folder / "out").unlink(missing_ok=True)
        good, text = tool(*words)
        files.append((folder / "out").read_bytes() if good and (folder / "out").exists() else text)
    score.check(isinstance(files[1], bytes) and files[0] == files[1], f"{what}: {' '.join(words)}")


def verdicts(score, tools, what, *words):
    """Both tools must give the same verdict; returns it."""
    (ours, our_text), (theirs, their_text) = tools.ours(*words), tools.theirs(*words)
    score.check(ours == theirs, f"{what}: ours {ours}, theirs {theirs}\n{our_text}\n{their_text}")
    return theirs


def keys_and_digests(score, tools, folder, keys, rng):
    for name in keys:
        same_file(score, tools, folder, "v2 public key", "extract-public-key", "--version", "2", "-k", f"{name}.pem", "out")
        same_file(score, tools, folder, "v2 digest", "digest-sbv2-public-key", "-k", f"{name}.pem", "-o", "out")
        if "ecdsa256" in name:
            same_file(score, tools, folder, "v1 public key", "extract-public-key", "--version", "1", "-k", f"{name}.pem", "out")
            for bits in ("256", "192"):
                same_file(score, tools, folder, "key digest", "digest-private-key", "-k", f"{name}.pem", "-l", bits, "out")
    for length in (24, 127, 128, 129, 160, 161, 200, 255, 256, 288, 289, 4096, 5000):
        for hashed in (0, 1):
            image = bootloader(length, hashed, rng)
            (folder / "boot.bin").write_bytes(image)
            (folder / "iv.bin").write_bytes(rng.randbytes(128))
            for size in (24, 32):
                (folder / "aes.bin").write_bytes(rng.randbytes(size))
                same_file(
                    score, tools, folder, f"bootloader digest, {length} bytes, hash {hashed}",
                    "digest-secure-bootloader", "-k", "aes.bin", "--iv", "iv.bin", "-o", "out", "boot.bin",
                )


def bootloader(length, hashed, rng):
    """An image of one segment that ends `length` bytes or a little more from its start."""
    data = rng.randbytes(max(length - 24 - 8 - 1, 4) // 4 * 4)
    image = bytearray(b"\xe9\x01\x02\x00" + struct.pack("<I", 0x40080000) + bytes(15) + bytes([hashed]))
    image += struct.pack("<II", 0x40080000, len(data)) + data
    image += bytes(15 - len(image) % 16)
    checksum = 0xEF
    for byte in data:
        checksum ^= byte
    image.append(checksum)
    return bytes(image) + (rng.randbytes(32) if hashed else b"")


def signing(score, tools, folder, keys, rng):
    """Signs with each tool and verifies with the other; returns the signed files, with key and version."""
    signed = []
    for name in keys:
        for length in (0, 1, 100, 4096, 5000):
            (folder / "data").write_bytes(rng.randbytes(length))
            versions = ("1", "2") if "ecdsa256" in name else ("2",)
            for version in versions:
                sign = ("sign-data", "--version", version, "-k", f"{name}.pem", "-o")
                for maker, tool, other in (("ours", tools.ours, tools.theirs), ("theirs", tools.theirs, tools.ours)):
                    file = f"{name}.v{version}.{length}.{maker}"
                    good, text = tool(*sign, file, "data")
                    score.check(good, f"{maker} signs {file}: {text}")
                    good, text = other("verify-signature", "--version", version, "-k", f"{name}.pem", file)
                    score.check(good, f"verifying {file}: {text}")
                    if length in (100, 5000):
                        signed.append((file, name, version))
                if version == "1":
                    same_file(score, tools, folder, "v1 signature", *sign, "out", "data")
                else:
                    pair = [(folder / f"{name}.v2.{length}.{maker}").read_bytes() for maker in ("ours", "theirs")]
                    score.check(fixed_part(pair[0]) == fixed_part(pair[1]), f"{name}: {length}: fields of the block")
    several(score, tools, folder, keys, rng)
    return signed


def fixed_part(data):
    """A signed file without its first block's signature and CRC."""
    block = data[-SECTOR:][:BLOCK]
    start = 812 if block[1] == 2 else 149 if block[2] == 1 else 101
    return data[:-SECTOR] + block[:start] + data[-SECTOR + BLOCK :]


def several(score, tools, folder, keys, rng):
    """Two keys at once and a third appended, by one tool and by the other, scheme by scheme: the vendor's verify-signature
    crashes on RSA blocks when it looks for an ECDSA key, so files of mixed schemes cannot be compared."""
    (folder / "data").write_bytes(rng.randbytes(SECTOR))
    for scheme in SCHEMES:
        several_of(score, tools, [f"{name}.pem" for name in keys if keys[name] == scheme])


def several_of(score, tools, pair):
    trio = [*pair, pair[0]]
    for maker, tool, other in (("ours", tools.ours, tools.theirs), ("theirs", tools.theirs, tools.ours)):
        good, text = tool("sign-data", "--version", "2", "-k", trio[0], trio[1], "-o", f"two.{maker}", "data")
        score.check(good, f"two keys: {text}")
        good, text = other("sign-data", "--version", "2", "-k", trio[2], "-a", "-o", f"three.{maker}", f"two.{maker}")
        score.check(good, f"appending: {text}")
        for key in trio:
            score.check(verdicts(score, tools, "three keys", "verify-signature", "--version", "2", "-k", key, f"three.{maker}"), key)
        (ours, our_text), (_, their_text) = [t("signature-info-v2", f"three.{maker}") for t in (tools.ours, tools.theirs)]
        score.check(ours and our_text in their_text, f"signature-info-v2: {our_text}\n{their_text}")
        again = ("sign-data", "--version", "2", "-k", trio[0], "-a", "-o", "out", f"three.{maker}")
        score.check(not verdicts(score, tools, "a fourth key", *again), "a fourth key is refused")


def detached(score, tools, folder, keys):
    """Signatures cut out of signed files and handed back with the public key: the same file again."""
    for name in keys:
        for maker in ("ours", "theirs"):
            file = folder / f"{name}.v2.5000.{maker}"
            data = file.read_bytes()
            (folder / "content").write_bytes(data[:-SECTOR])
            block = data[-SECTOR:][:BLOCK]
            if block[1] == 2:
                signature = block[812:1196][::-1]
            else:
                start, size = (149, 48) if block[2] == 1 else (101, 24 if block[36] == 1 else 32)
                signature = der(*(block[at : at + size][::-1] for at in (start, start + size)))
            (folder / "signature").write_bytes(signature)
            tools.ours("extract-public-key", "--version", "2", "-k", f"{name}.pem", "public")
            words = ("sign-data", "--version", "2", "--pub-key", "public", "--signature", "signature", "-o", "out", "content")
            same_file(score, tools, folder, "detached", *words)
            score.check((folder / "out").read_bytes() == data, f"detached: {file.name} again")


def der(r, s):
    """An ECDSA signature as DER, from big-endian numbers."""
    body = b""
    for number in (r, s):
        number = number.lstrip(b"\0") or b"\0"
        number = b"\0" + number if number[0] & 0x80 else number
        body += bytes([2, len(number)]) + number
    return bytes([0x30, len(body)]) + body


def tampered(score, tools, folder, signed, count, rng):
    """Damaged files; for half of those with a signature sector the CRC is put right, so that the damage goes deeper."""
    refused = 0
    for number in range(count):
        file, key, version = signed[number % len(signed)]
        data = bytearray((folder / file).read_bytes())
        kind = rng.choice(("flip", "flip", "flip", "byte", "cut", "grow", "swap"))
        if version == "2" and kind in ("flip", "byte") and rng.random() < 0.85:
            at = len(data) - SECTOR + rng.choice((rng.randrange(BLOCK), rng.randrange(170), rng.choice((0, 1, 2, 3, 36, 52))))
        elif version == "1" and rng.random() < 0.6:
            at = len(data) - 68 + rng.randrange(68)
        else:
            at = rng.randrange(len(data))
        if kind == "flip":
            data[at] ^= 1 << rng.randrange(8)
        elif kind == "byte":
            data[at] = rng.choice((0, 1, 2, 3, 0xFF))
        elif kind == "cut":
            del data[-rng.choice((1, 16, 68, SECTOR)) :]
        elif kind == "grow":
            data += bytes(rng.choice((1, 68, SECTOR)))
        else:
            other = rng.choice([name for _, name, v in signed if v == version])
            key = other
        data = bytes(data)
        deeper = version == "2" and kind in ("flip", "byte") and rng.random() < 0.6
        if deeper:
            data = with_crc(data, len(data) - SECTOR)
        (folder / "tampered").write_bytes(data)
        what = f"tampered {number}: {file}, {kind} at {at:#x}, crc {'right' if deeper else 'as it was'}, key {key}"
        refused += not verdicts(score, tools, what, "verify-signature", "--version", version, "-k", f"{key}.pem", "tampered")
        if version == "2":
            verdicts(score, tools, what + ", info", "signature-info-v2", "tampered")
    score.check(refused > count // 3, f"only {refused} of {count} tampered files were refused: the test has no teeth")
    print(f"{count} tampered files, {refused} of them refused by both", flush=True)


def main():
    options = argparse.ArgumentParser(description="dryburn's espsecure against the vendor's")
    options.add_argument("--dryburn", required=True, help="the dryburn program")
    options.add_argument("--seed", type=int, default=7, help="of every random choice but the keys")
    options.add_argument("--tampered", type=int, default=400, help="how many damaged files to compare")
    options = options.parse_args()
    rng, score, start = random.Random(options.seed), Score(), os.getcwd()
    dryburn = str(Path(options.dryburn).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tools = Tools(dryburn, folder)
        os.chdir(folder)
        try:
            keys = {}
            for maker, tool in (("ours", tools.ours), ("theirs", tools.theirs)):
                for scheme in SCHEMES:
                    key = f"{maker}-{scheme}"
                    good, text = tool("generate-signing-key", "--version", "2", "--scheme", scheme, f"{key}.pem")
                    score.check(good, f"generating {key}: {text}")
                    keys[key] = scheme
            keys_and_digests(score, tools, folder, keys, rng)
            signed = signing(score, tools, folder, keys, rng)
            detached(score, tools, folder, keys)
            tampered(score, tools, folder, signed, options.tampered, rng)
        finally:
            os.chdir(start)
    print(f"{score.passed} passed, {score.failed} failed")
    return 1 if score.failed else 0


if __name__ == "__main__":
    sys.exit(main())
