"""Holds dryburn's espefuse against the vendor's: the same random commands on the same virtual eFuse files.

    python .ci/differential_espefuse.py --dryburn target/debug/dryburn --sequences 10 [--seed 1] [--chips esp32,esp32c3]

Needs the packages esptool (5.6) and cryptography. After each command line the two files must be equal byte for byte, both
tools must have accepted or both refused it, with the same exit status, and `summary --format json` must say the same
(descriptions left out). The vendor's tool is imported once and forked for each command line. The last line counts sequences.
"""

import argparse
import collections
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile

CHIPS = "esp32 esp32s2 esp32s3 esp32c2 esp32c3 esp32c5 esp32c6 esp32c61 esp32h2 esp32p4".split()
# offsets of the blocks' registers and their lengths in words
BLOCKS = {
    "esp32": [(0x00, 7), (0x38, 8), (0x58, 8), (0x78, 8)],
    "esp32c2": [(0x2C, 2), (0x34, 3), (0x40, 8), (0x60, 8)],
}
OTHERS = [(0x2C, 6), (0x44, 6)] + [(0x5C + 0x20 * n, 8) for n in range(9)]
RAW = {"k16": 16, "k24": 24, "k32": 32, "k64": 64, "b4": 4, "b12": 12, "b28": 28}
KEYS = ["k32", "k32", "k32", "r32", "f32", "z32", "k16", "k24", "k64"]
PEMS = ["rsa", "rsa.pub", "p192", "p256", "p384", "p256.pub", "p384.p8", "p521", "rsa2048"]


def vendor(argv):
    """Exit status and output of the vendor's tool, in a process of its own."""
    out = tempfile.TemporaryFile()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.argv = ["espefuse", *argv]
            import espefuse

            try:
                espefuse._main()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            except BaseException as error:  # a crash of the tool ends with status 1
                print("crash:", repr(error))
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    out.seek(0)
    return status, out.read().decode(errors="replace")


def patient_vendor(argv, file):
    """As `vendor`, once more where the tool gave up waiting for its emulated controller: that says how busy the machine is."""
    before = None
    if os.path.exists(file):
        with open(file, "rb") as handle:
            before = handle.read()
    for _ in range(5):
        status, text = vendor(argv)
        if "Timed out waiting for eFuse controller" not in text:
            break
        if before is not None:
            with open(file, "wb") as handle:
                handle.write(before)
        elif os.path.exists(file):
            os.remove(file)
    return status, text


def ours(binary, argv):
    done = subprocess.run([binary, "espefuse", *argv], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def summary(run, chip, file):
    status, text = run(["--virt", "--chip", chip, "--path-efuse-file", file, "summary", "--format", "json"])
    if status != 0 or "{" not in text:
        return status
    fields = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]
    for field in fields.values():
        field.pop("description", None)
    return fields


def make_keys(folder):
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    for name, size in RAW.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(bytes(range(1, size + 1)))
    for name, byte in [("z32", 0), ("f32", 255), ("r32", 0x5A)]:
        with open(os.path.join(folder, name), "wb") as file:
            file.write(bytes([byte]) * 32)
    curves = {"p192": ec.SECP192R1(), "p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    keys = {name: ec.derive_private_key(12345678901234567890, curve) for name, curve in curves.items()}
    keys |= {"rsa": rsa.generate_private_key(65537, 3072), "rsa2048": rsa.generate_private_key(65537, 2048)}
    for name, key in keys.items():
        texts = {
            "": key.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption()),
            ".p8": key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()),
            ".pub": key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo),
        }
        for suffix, text in texts.items():
            with open(os.path.join(folder, name + suffix), "wb") as file:
                file.write(text)


class Dice:
    """Random command lines for one chip, from what the vendor's own summary and help say that it has."""

    def __init__(self, chip, rng, fields, purposes):
        self.chip, self.rng, self.fields, self.purposes = chip, rng, fields, purposes
        self.old = chip == "esp32"

    def block(self):
        if self.old:
            return self.rng.choice(["BLOCK0", "BLOCK1", "BLOCK2", "BLOCK3", "BLOCK3"])
        if self.chip == "esp32c2":
            return self.rng.choice(["BLOCK0", "BLOCK1", "BLOCK2", "BLOCK_KEY0", "BLOCK3"])
        more = ["BLOCK_USR_DATA", "BLOCK_KEY0", "BLOCK_KEY5", "BLOCK_SYS_DATA2", "MAC_SPI_8M_0"]
        return self.rng.choice([f"BLOCK{n}" for n in range(11)] + more)

    def forced(self, odds=0.12):
        return ["--force-write-always"] if self.rng.random() < odds else []

    def protections(self):
        if self.old:
            return self.rng.choice([[], [], ["--no-protect-key"]]) + self.forced()
        read, write = ["--no-read-protect"], ["--no-write-protect"]
        return self.rng.choice([[], [], read, write, read + write]) + self.forced()

    def burn_key(self):
        words = ["burn-key"]
        for _ in range(self.rng.choice([1, 1, 1, 2])):
            if self.old:
                names = ["BLOCK1", "flash_encryption", "BLOCK2", "secure_boot_v1", "secure_boot_v2", "BLOCK3"]
                words += [self.rng.choice(names), self.rng.choice(KEYS)]
                continue
            purpose = self.rng.choice(self.purposes)
            if purpose.startswith("ECDSA_KEY") and not purpose.endswith(("_L", "_H")):
                key = self.rng.choice(["p192", "p256", "p384", "p256.p8", "p256.pub", "k32", "p384", "p521"])
            elif purpose == "XTS_AES_256_KEY":
                key = self.rng.choice(["k64", "k64", "k64", "k32"])
            elif purpose.startswith("XTS_AES_128_KEY_DERIVED"):
                key = self.rng.choice(["k16", "k16", "k32"])
            else:
                key = self.rng.choice(KEYS)
            target = "BLOCK_KEY0" if self.chip == "esp32c2" else f"BLOCK_KEY{self.rng.randrange(6)}"
            words += [target, key, purpose]
        return words + self.protections()

    def burn_key_digest(self):
        pem = self.rng.choice(PEMS + ["k32", "none"])
        if self.old or self.chip == "esp32c2":
            return ["burn-key-digest", pem] + self.protections()
        words = ["burn-key-digest"]
        for _ in range(self.rng.choice([1, 1, 2])):
            words += [f"BLOCK_KEY{self.rng.randrange(6)}", pem, f"SECURE_BOOT_DIGEST{self.rng.randrange(3)}"]
            pem = self.rng.choice(PEMS)
        return words + self.protections()

    def value(self, name, field):
        bits, rng = field["bit_len"], self.rng
        if "MAC" in name and field["efuse_type"].startswith("bytes"):
            return rng.choice(["02:34:56:78:9a:bc", "aa:cd:ef:01:02:03", "03:00:00:00:00:01", "02:34:56", "0x1234"])
        if field["efuse_type"].startswith("bytes"):
            return "0x" + rng.choice([rng.randbytes(bits // 8), bytes(bits // 8), rng.randbytes(4)]).hex()
        if field["efuse_type"] == "bool":
            return rng.choice(["1", "1", "1", "1", "0"])
        if re.fullmatch(r"KEY_PURPOSE_\d", name):
            return rng.choice(self.purposes + [str(n) for n in range(1, 33)])
        top = 1 << bits
        return hex(rng.choice([1, 3, rng.randrange(top), 1 << rng.randrange(bits), top - 1, rng.randrange(top), top, 0]))

    def burn_efuse(self):
        rng, words = self.rng, ["burn-efuse"]
        weighty = ["WR_DIS", "RD_DIS", "SECURE_VERSION", "SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT", "CODING_SCHEME"]
        weighty += ["CUSTOM_MAC", "CHIP_VER_REV1", "CHIP_VER_REV2", "KEY_PURPOSE_0", "KEY_PURPOSE_3"]
        weighty = [name for name in weighty if name in self.fields]
        for _ in range(rng.choice([1, 1, 2, 3])):
            name = rng.choice(weighty) if rng.random() < 0.4 else rng.choice(list(self.fields))
            field = self.fields[name]
            if len(words) == 1 and rng.random() < 0.08:
                return words + [name]
            words += [name, self.value(name, field)]
        return words + (["--force"] if rng.random() < 0.05 else [])

    def burn_bit(self):
        top = self.rng.choice([32, 96, 192, 224, 256, 257])
        numbers = [str(self.rng.randrange(top)) for _ in range(self.rng.choice([1, 1, 2, 4]))]
        return ["burn-bit", self.block(), *numbers] + self.forced(0.25)

    def burn_block_data(self):
        words = ["burn-block-data"]
        for _ in range(self.rng.choice([1, 1, 2])):
            words += [self.block(), self.rng.choice(["k32", "k32", "k24", "b12", "b28", "b4", "r32"])]
        offset = ["--offset", str(self.rng.choice([0, 1, 4, 6, 12, 18, 28, -1]))] if self.rng.random() < 0.5 else []
        return words + offset + self.forced(0.25)

    def protect(self, command):
        count = self.rng.choice([1, 1, 2, 3])
        names = list(self.fields)
        if command == "read-protect-efuse" and self.rng.random() < 0.9:
            names = [n for n in names if n.startswith("BLOCK")]
        return [command, *(self.rng.choice(names) for _ in range(count))]

    def burn_custom_mac(self):
        macs = ["02:34:56:78:9a:bc", "AA:CD:EF:01:02:03", "03:00:00:00:00:01", "02:34", "02:34:56:78:9a:bd"]
        return ["burn-custom-mac", self.rng.choice(macs)] + self.forced()

    def command(self):
        makers = [self.burn_key] * 4 + [self.burn_efuse] * 6 + [self.burn_bit] * 2 + [self.burn_block_data] * 2
        makers += [self.burn_key_digest, self.burn_custom_mac]
        makers += [lambda: self.protect("read-protect-efuse"), lambda: self.protect("write-protect-efuse")]
        if self.rng.random() < 0.05:
            return ["set-flash-voltage", self.rng.choice(["1.8V", "3.3V", "OFF"])]
        if self.rng.random() < 0.05:
            return [self.rng.choice(["check-error", "get-custom-mac", "adc-info", "dump"])]
        return self.rng.choice(makers)()

    def line(self):
        line = ["--no-postpone"] if self.rng.random() < 0.04 else []
        for _ in range(self.rng.choice([1, 1, 1, 2, 3])):
            line += self.command()
        if self.rng.random() < 0.03:
            line.append("--show-token")
        return line

    def image(self):
        """A file to start from: blank, or with some of the factory's bits."""
        image = bytearray(288 if self.old else 512)
        if self.rng.random() < 0.5:
            return b""
        start, words = BLOCKS.get(self.chip, OTHERS)[0]
        blocks = BLOCKS.get(self.chip, OTHERS)[1:] if not self.old else []
        for offset, count in blocks[:2]:
            density = self.rng.choice([0, 0.1, 0.5])
            for byte in range(offset, offset + 4 * count):
                image[byte] = sum((self.rng.random() < density) << bit for bit in range(8))
        if self.old:
            # silicon revision 3, a MAC, sometimes calibration
            image[start + 13] |= 0x80 | 0x40 * self.rng.randrange(2)
            image[start + 22] |= 0x10
            image[start + 4 : start + 11] = self.rng.randbytes(7)
        return bytes(image)[::-1]


def read(file):
    if not os.path.exists(file):
        return b""
    with open(file, "rb") as handle:
        data = handle.read()
    return data if any(data) else b""


def start_of(image):
    """Words that are the message of a refusal, for the report."""
    found = re.search(r"fatal error occurred:\s*(.*)", image)
    return found.group(1) if found else image.strip()[-200:]


def sequence(job):
    """One sequence of command lines; what differs, or nothing."""
    binary, chip, seed, fields, purposes, keys = job
    rng = random.Random(f"{seed} {chip}")
    dice = Dice(chip, rng, fields, purposes)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in os.listdir(keys):
            os.symlink(os.path.join(keys, name), os.path.join(folder, name))
        first = dice.image()
        for file in ("vendor.virt", "ours.virt"):
            if first:
                with open(file, "wb") as handle:
                    handle.write(first)
        history, accepted = [], 0
        for step in range(5):
            line = dice.line()
            history.append(" ".join(line))
            options = ["--do-not-confirm", "--virt", "--chip", chip, "--path-efuse-file"]
            theirs, their_text = patient_vendor([*options, "vendor.virt", *line], "vendor.virt")
            mine, my_text = ours(binary, [*options, "ours.virt", *line])
            accepted += theirs == 0
            difference = []
            if theirs != mine:
                difference.append(f"status {theirs} here {mine}")
            a, b = read("vendor.virt"), read("ours.virt")
            if a != b:
                if len(a) == len(b):
                    a, b = a[::-1], b[::-1]
                    where = [f"{i:#x}: {a[i]:02x} here {b[i]:02x}" for i in range(len(a)) if a[i] != b[i]]
                    difference.append("file, register offset " + ", ".join(where[:8]))
                else:
                    difference.append(f"file, {len(a)} bytes, here {len(b)}")
            if not difference and (step == 4 or rng.random() < 0.25):
                want, got = summary(vendor, chip, "vendor.virt"), summary(lambda v: ours(binary, v), chip, "ours.virt")
                if isinstance(want, int) or isinstance(got, int):
                    if isinstance(want, int) != isinstance(got, int):
                        difference.append("summary refused by one of the two")
                else:
                    for name in sorted(set(want) | set(got)):
                        if want.get(name) != got.get(name):
                            difference.append(f"summary of {name}\n      {want.get(name)}\n here {got.get(name)}")
            if difference:
                lines = "\n    ".join(history)
                words = f"  vendor: {start_of(their_text)}\n  ours:   {start_of(my_text)}"
                return chip, seed, accepted, f"{chip}, seed {seed}:\n    {lines}\n  " + "\n  ".join(difference[:6]) + f"\n{words}"
        return chip, seed, accepted, ""


def known_to_vendor(chip):
    """Fields and key purposes, from the vendor's own words."""
    with tempfile.TemporaryDirectory() as folder:
        fields = summary(vendor, chip, os.path.join(folder, "f"))
        if not isinstance(fields, dict):
            sys.exit(f"the vendor's tool does not run for {chip}")
        options = ["--virt", "--chip", chip, "--path-efuse-file", os.path.join(folder, "f")]
        _, text = vendor([*options, "burn-key", "-h"])
    fields = {name: field for name, field in fields.items() if field["word"] is not None}
    found = re.search(r"[Kk]ey purpose is one of: \[(.*?)\]", text, re.S)
    purposes = [p.strip() for p in found.group(1).split(",")] if found else []
    return fields, [re.sub(r"\s", "", p) for p in purposes]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dryburn", required=True, help="the dryburn binary")
    parser.add_argument("--sequences", type=int, default=10, help="sequences for each chip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chips", default=",".join(CHIPS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    import espefuse  # noqa: F401  once, before the forks

    binary = os.path.abspath(options.dryburn)
    with tempfile.TemporaryDirectory() as keys:
        make_keys(keys)
        jobs = []
        for chip in options.chips.split(","):
            fields, purposes = known_to_vendor(chip)
            for n in range(options.sequences):
                jobs.append((binary, chip, options.seed * 1_000_000 + n, fields, purposes, keys))
        passed = failed = accepted = 0
        left = collections.Counter(job[1] for job in jobs)
        with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
            for chip, _, done, difference in pool.imap_unordered(sequence, jobs):
                left[chip] -= 1
                if not left[chip]:
                    print(f"{chip}: {options.sequences} sequences done", flush=True)
                accepted += done
                if difference:
                    failed += 1
                    print(difference, flush=True)
                else:
                    passed += 1
    print(f"{accepted} command lines accepted by both")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
