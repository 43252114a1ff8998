#!/usr/bin/env python3
"""dryburn's esptool and espsecure against the real ones, on random images and random flash encryptions.

    target/ci-venv/bin/python .ci/differential.py --dryburn target/release/dryburn [--seed N] [--images N] [--encryptions N]

Images are made by `dryburn image new` for every chip or taken from tests/vectors, then damaged by `dryburn image damage`
or byte by byte: flipped, cut, lengthened, spliced, with pieces out or in, with other lengths and counts. Both tools must accept or both refuse, and what they print about an accepted
image must be the same: segments, checksum and hash verdicts, descriptor. Encrypted and decrypted files must be the same
byte for byte (the ESP32 scheme fills a last incomplete block with random bytes: those are left out).

The real tools are imported once and run in forked children, because starting Python for each command would take minutes.
The same seed gives the same cases. Exit status 1 when a case differs; each one is printed with what is needed to repeat it.
"""
import argparse
import collections
import importlib.metadata
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import traceback
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHIPS = {
    "esp32": 0,
    "esp32s2": 2,
    "esp32c3": 5,
    "esp32s3": 9,
    "esp32c2": 12,
    "esp32c6": 13,
    "esp32h2": 16,
    "esp32p4": 18,
    "esp32c61": 20,
    "esp32c5": 23,
}
DAMAGES = ("magic", "checksum", "hash", "bit")
DAMAGES_WITH_VALUE = {
    "chip-id": lambda r: r.choice([*CHIPS.values(), r.randrange(0x10000)]),
    "min-revision": lambda r: r.randrange(0x10000),
    "max-revision": lambda r: r.randrange(0x10000),
    "segment-count": lambda r: r.choice([0, 1, 2, 3, 5, 16, 17, r.randrange(256)]),
    "segment-length": lambda r: r.choice([0, 1, 5, 255, 256, 4096, r.randrange(1 << 16), r.randrange(1 << 32)]),
    "load-address": lambda r: r.choice([0, 0x3F400020, 0x42000020, 0x40380000, r.randrange(1 << 32)]),
}


class RealTool:
    """A command of the installed packages, as its own entry point runs it."""

    def __init__(self, name):
        (entry,) = importlib.metadata.entry_points(group="console_scripts", name=name)
        self.name, self.main = name, entry.load()

    def run(self, folder, *words):
        """Exit status and everything printed; [`CRASHED`] where the tool ended in a Python exception."""
        printed = folder / "printed"
        child = os.fork()
        if child == 0:
            status = 70
            try:
                out = os.open(printed, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
                os.dup2(out, 1)
                os.dup2(out, 2)
                os.chdir(folder)
                sys.argv = [self.name, *words]
                status = status_of(self.main)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(ended), printed.read_text(errors="replace")


# No exit status of the tools themselves.
CRASHED = 99


def status_of(main):
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return CRASHED
    return 0


class Dryburn:
    """Our binary."""

    def __init__(self, binary):
        self.binary = str(pathlib.Path(binary).resolve())

    def run(self, folder, *words):
        command = [self.binary, *words]
        ended = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        if ended.returncode not in (0, 1, 2):
            raise SystemExit(f"dryburn {' '.join(words)}: ended with {ended.returncode}: {ended.stderr.decode()}")
        return ended.returncode, (ended.stdout + ended.stderr).decode(errors="replace")


class Tally:
    """What was compared, and what differs."""

    def __init__(self, title):
        self.title, self.counts, self.differ = title, collections.Counter(), 0

    def same(self, what):
        self.counts[what] += 1

    def differs(self, case, why):
        self.differ += 1
        if self.differ <= 20:
            print(f"DIFFERS {self.title}: {case}\n  {why}")

    def finish(self, wanted):
        """Whether nothing differs and at least `wanted` cases were compared."""
        total = sum(self.counts.values())
        counts = ", ".join(f"{n} {what}" for what, n in sorted(self.counts.items()))
        print(f"{self.title}: {total} the same ({counts}), {self.differ} differ")
        if total + self.differ < wanted:
            print(f"{self.title}: fewer than {wanted} cases")
        return self.differ == 0 and total >= wanted


def lines_of(text):
    """What is compared of an output: without the real tool's line with its version, without space at line ends, and
    without control characters, of which the real tool prints some, or the character that dryburn prints for them all."""
    text = "".join(c for c in text if c == "\n" or not (c == "\ufffd" or unicodedata.category(c) == "Cc"))
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    return lines[1:] if lines[0].startswith(("esptool v", "espsecure v")) else lines


def first_difference(real, ours):
    for n in range(max(len(real), len(ours))):
        a, b = (lines[n] if n < len(lines) else "(nothing)" for lines in (real, ours))
        if a != b:
            return f"line {n}: real '{a}', dryburn '{b}'"
    return ""


# Images


def new_image(rng, dryburn, folder):
    """A new image in `folder`; gives what it is."""
    chip = rng.choice(list(CHIPS))
    words = ["image", "new", "image.bin", "--chip", chip, "--seed", str(rng.randrange(1 << 32))]
    if rng.random() < 0.4:
        words.append("--bootloader")
    else:
        words += ["--version", f"{rng.randrange(100)}.{rng.randrange(100)}.0"]
        words += ["--secure-version", str(rng.choice([0, 1, 16, rng.randrange(1 << 32)]))]
    if rng.random() < 0.5:
        words += ["--size", str(rng.randrange(4096, 300_000))]
    if rng.random() < 0.2:
        words.append("--no-hash")
    words += ["--idf", rng.choice(["4.4", "5.1", "5.2", "5.4", "6.1"])]
    words += ["--min-revision", f"v{rng.randrange(4)}.{rng.randrange(100)}"]
    status, text = dryburn.run(folder, *words)
    if status != 0:
        raise SystemExit(f"dryburn {' '.join(words)}: {text}")
    return " ".join(words)


def damage_image(rng, dryburn, folder):
    """Damages, or none, to the image in `folder`; gives what was done."""
    path = folder / "image.bin"
    kind = rng.randrange(12)
    if kind < 2:
        return "as it is"
    if kind < 6:
        words = ["image", "damage", "image.bin"]
        if rng.random() < 0.4:
            words.append(rng.choice(DAMAGES))
        else:
            name = rng.choice(list(DAMAGES_WITH_VALUE))
            words += [name, str(DAMAGES_WITH_VALUE[name](rng))]
        if rng.random() < 0.5:
            words.append("--repair")
        # a refusal (the value stood there already) leaves the image as it is
        dryburn.run(folder, *words)
        return " ".join(words)
    data = bytearray(path.read_bytes())
    done = [rng.choice(MUTATIONS)(rng, data) for _ in range(rng.choice([1, 1, 2, 3]))]
    path.write_bytes(data)
    return ", ".join(done)


def near_start(rng, data):
    """An offset: that of a header, a descriptor or anything more often than chance would have it."""
    return rng.randrange(max(1, min(len(data), rng.choice([24, 48, 400, len(data)]))))


def segment_headers(data):
    """Offsets of the segment headers, as far as the image goes and has lengths."""
    at, found = 24, []
    for _ in range(min(data[1], 16) if len(data) > 1 else 0):
        if at + 8 > len(data):
            break
        found.append(at)
        at += 8 + int.from_bytes(data[at + 4:at + 8], "little")
    return found


def mutate_flip(rng, data):
    changes = []
    for _ in range(rng.randrange(1, 4)):
        if data:
            at, mask = near_start(rng, data), rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)])
            data[at] ^= mask
            changes.append(f"{at:#x}^{mask:#x}")
    return "bytes " + " ".join(changes)


def mutate_cut(rng, data):
    cut = rng.choice([rng.randrange(64), len(data) - rng.randrange(1, 64), rng.randrange(len(data) + 1)])
    del data[max(cut, 0):]
    return f"cut to {len(data)}"


def mutate_lengthen(rng, data):
    tail = rng.randbytes(rng.randrange(1, 5000))
    data += tail
    return f"{len(tail)} bytes behind it"


def mutate_splice(rng, data):
    """A piece of the image, or of a vector, lies where another should, or between two."""
    source = bytes(data) if rng.random() < 0.5 else rng.choice(vectors()).read_bytes()
    length = min(len(source), rng.choice([1, 4, 8, 16, 24, 256, rng.randrange(1, 5000)]))
    begin = rng.randrange(len(source) - length + 1)
    at = near_start(rng, data)
    insert = rng.random() < 0.3
    data[at:at if insert else at + length] = source[begin:begin + length]
    return f"{length} bytes {'inserted' if insert else 'spliced in'} at {at:#x}"


def mutate_delete(rng, data):
    at, length = near_start(rng, data), rng.choice([1, 4, 8, 16, rng.randrange(1, 600)])
    del data[at:at + length]
    return f"{length} bytes out at {at:#x}"


def mutate_length(rng, data):
    """A segment says another length, near the right one or near a limit."""
    headers = segment_headers(data)
    if not headers:
        return "no segment"
    at = rng.choice(headers) + 4
    old = int.from_bytes(data[at:at + 4], "little")
    left = len(data) - at - 4
    new = rng.choice([old - 4, old + 4, old - 1, old + 1, old + 16, left, left - 1, left - 16, left - 17, left - 33, left + 1, 0])
    new = rng.choice([new, new, new, 0xFFFFFFFF, 0xFFFFFFFC, 1 << 24, (1 << 24) + 4]) % (1 << 32)
    data[at:at + 4] = new.to_bytes(4, "little")
    return f"length {new:#x} at {at:#x}"


def mutate_count(rng, data):
    if len(data) > 1:
        data[1] = rng.choice([0, 1, data[1] - 1 & 0xFF, data[1] + 1 & 0xFF, 15, 16, 17, 255])
    return f"{data[1] if len(data) > 1 else 'no'} segments"


MUTATIONS = [mutate_flip, mutate_flip, mutate_cut, mutate_lengthen, mutate_splice, mutate_delete, mutate_length, mutate_length, mutate_count]


def vectors():
    """Images of the repository."""
    folders = ("image", "esptool")
    return [path for folder in folders for path in sorted((ROOT / "tests/vectors" / folder).glob("*.bin"))]


def not_modelled(image, real):
    """Images of chips that the real tool knows and dryburn does not: by chip id, or an ESP8266's, which has none."""
    if "Detected image type: ESP8266" in real:
        return True
    return len(image) >= 24 and image[0] == 0xE9 and int.from_bytes(image[12:14], "little") not in CHIPS.values()


def compare_images(rng, wanted, dryburn, esptool, folder):
    tally = Tally("image-info")
    # one quarter more than asked, because chips that are not modelled do not count
    for n in range(wanted + wanted // 4):
        if n % 4 == 3:
            source = rng.choice(vectors())
            (folder / "image.bin").write_bytes(source.read_bytes())
            made = str(source.relative_to(ROOT))
        else:
            made = new_image(rng, dryburn, folder)
        case = f"{made}; {damage_image(rng, dryburn, folder)}"
        options = ["--chip", rng.choice(list(CHIPS))] if rng.random() < 0.1 else []
        image = (folder / "image.bin").read_bytes()
        real = esptool.run(folder, *options, "image-info", "image.bin")
        ours = dryburn.run(folder, "esptool", *options, "image-info", "image.bin")
        if not options and not_modelled(image, real[1]):
            if ours[0] == 0:
                tally.differs(case, "a chip that is not modelled was accepted")
            continue
        shown = [lines_of(real[1]), lines_of(ours[1])]
        if real[0] == CRASHED and ours[0] == 0:
            # dryburn goes on where the real tool trips over an unusual descriptor; until there both print the same
            until = shown[0].index("Traceback (most recent call last):")
            shown = [[line for line in lines[:until] if line] for lines in shown]
            if shown[0] != shown[1][:len(shown[0])]:
                tally.differs(case, first_difference(*shown))
            else:
                tally.same("up to an exception of the real tool")
            continue
        if (real[0] == 0) != (ours[0] == 0):
            tally.differs(case, f"real ends with {real[0]}, dryburn with {ours[0]}\n{real[1]}\n{ours[1]}")
            continue
        if real[0] != 0:
            tally.same("refused")
            continue
        if shown[0] != shown[1]:
            tally.differs(case, first_difference(*shown))
        else:
            tally.same("with something invalid" if "(invalid" in real[1] else "valid")
    return tally.finish(wanted)


# Flash encryption


def encryption(rng):
    """A random command: direction, key, options, data. Mostly one that is accepted."""
    decrypt = rng.random() < 0.4
    xts = rng.random() < 0.5
    lengths = [16, 32, 64] if xts else [24, 32]
    size = rng.choice(lengths) if rng.random() < 0.9 else rng.choice([0, 15, 16, 24, 33, 48, 64, 65])
    span = 1 << 32 if xts else 1 << 24
    length = rng.choice([16, 32, 64, 128, 144, 256, rng.randrange(1, 80) * 16])
    if rng.random() < 0.2:
        length = rng.randrange(0, 700)
    address = rng.choice([0, 0x1000, 0x10000, 0x10010, span - (length + 15) // 16 * 16, rng.randrange(span >> 5) * 16])
    address = min(address, span - (length + 15) // 16 * 16)
    if rng.random() < 0.07:
        address = max(0, address - rng.randrange(1, 16))
    words = ["--aes-xts"] if xts else []
    if rng.random() < (0.1 if xts else 0.8):
        words += ["--flash-crypt-conf", str(rng.choice([rng.randrange(16), rng.randrange(16), 0xF, 0x10, 0x1F]))]
    words += ["--address", rng.choice([str(address), hex(address)])]
    return decrypt, xts, rng.randbytes(size), words, rng.randbytes(length)


def compare_encryptions(rng, wanted, dryburn, espsecure, folder):
    tally = Tally("flash encryption")
    for _ in range(wanted):
        decrypt, xts, key, words, data = encryption(rng)
        (folder / "key.bin").write_bytes(key)
        (folder / "in.bin").write_bytes(data)
        for name in ("real.bin", "ours.bin"):
            (folder / name).unlink(missing_ok=True)
        verb = "decrypt-flash-data" if decrypt else "encrypt-flash-data"
        words = [verb, "--keyfile", "key.bin", *words, "--output"]
        case = f"{' '.join(words)}; {len(key) * 8}-bit key {key.hex()}, {len(data)} bytes {data[:64].hex()}"
        real = espsecure.run(folder, *words, "real.bin", "in.bin")
        ours = dryburn.run(folder, "espsecure", *words, "ours.bin", "in.bin")
        if (real[0] == 0) != (ours[0] == 0):
            tally.differs(case, f"real ends with {real[0]}, dryburn with {ours[0]}\n{real[1]}\n{ours[1]}")
            continue
        if real[0] != 0:
            if (folder / "ours.bin").exists():
                tally.differs(case, "dryburn refused and wrote a file")
            else:
                tally.same("refused")
            continue
        shown = [lines_of(real[1]), lines_of(ours[1])]
        if shown[0] != shown[1]:
            tally.differs(case, first_difference(*shown))
            continue
        theirs, mine = ((folder / name).read_bytes() for name in ("real.bin", "ours.bin"))
        padded = not xts and len(data) % 16
        whole = len(data) // 16 * 16 if padded else len(theirs)
        if len(theirs) != len(mine) or theirs[:whole] != mine[:whole]:
            tally.differs(case, f"real {theirs[:64].hex()}, dryburn {mine[:64].hex()}")
            continue
        if padded and not opens(espsecure, folder, words, data):
            tally.differs(case, "the real tool does not find the data in dryburn's padded last block")
            continue
        tally.same(f"{'decrypted' if decrypt else 'encrypted'} {'XTS' if xts else 'ESP32'}-{len(key) * 8}")
    return tally.finish(wanted)


def opens(espsecure, folder, words, data):
    """Whether the real tool decrypts what dryburn wrote to `data` and padding."""
    status, _ = espsecure.run(folder, "decrypt-flash-data", *words[1:], "opened.bin", "ours.bin")
    return status == 0 and (folder / "opened.bin").read_bytes()[: len(data)] == data


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dryburn", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--encryptions", type=int, default=600)
    args = parser.parse_args()
    # the real tools fit their lines to the terminal
    os.environ.update(COLUMNS="500", NO_COLOR="1", TERM="dumb")
    os.environ.pop("ESPTOOL_CHIP", None)
    dryburn = Dryburn(args.dryburn)
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rng = random.Random(args.seed)
        good &= compare_images(rng, args.images, dryburn, RealTool("esptool"), folder)
        rng = random.Random(args.seed)
        good &= compare_encryptions(rng, args.encryptions, dryburn, RealTool("espsecure"), folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
