"""Secure Boot v2 in the boot path: boards that the vendor's tools have provisioned, for every chip and scheme.

    python .ci/differential_boot.py --dryburn PATH

Needs the vendor's esptool package in this Python. Bootloader and app are signed by the vendor's espsecure, the eFuses burned by
its espefuse on a virtual chip; `dryburn boot` must start the app, refuse one that another key signed, and refuse the
bootloader when another key's digest is burned. Ends with `N passed, N failed`; exit status 1 if anything failed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("NO_COLOR", "1")
os.environ.setdefault("TERM", "dumb")

import espefuse  # noqa: E402
import espsecure  # noqa: E402

RSA, P192, P256, P384 = "rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"
CONFIG = {
    RSA: ("SECURE_SIGNED_APPS_RSA_SCHEME=y",),
    P192: ("SECURE_SIGNED_APPS_ECDSA_V2_SCHEME=y", "SECURE_BOOT_ECDSA_KEY_LEN_192_BITS=y"),
    P256: ("SECURE_SIGNED_APPS_ECDSA_V2_SCHEME=y",),
    P384: ("SECURE_SIGNED_APPS_ECDSA_V2_SCHEME=y", "SECURE_BOOT_ECDSA_KEY_LEN_384_BITS=y"),
}
# chip, bootloader offset, major silicon revision, schemes (formats sheet, section 0)
BOARDS = (
    ("esp32s2", 0x1000, 0, (RSA,)),
    ("esp32s3", 0, 0, (RSA,)),
    ("esp32c2", 0, 0, (P192, P256)),
    ("esp32c3", 0, 0, (RSA,)),
    ("esp32c5", 0x2000, 1, (RSA, P256, P384)),
    ("esp32c6", 0, 0, (RSA, P192, P256)),
    ("esp32c61", 0, 0, (P256,)),
    ("esp32h2", 0, 0, (RSA, P192, P256)),
    ("esp32p4", 0x2000, 0, (RSA, P256)),
    ("esp32p4", 0x2000, 3, (RSA, P256, P384)),
)
TABLE = 0xD000
APP = 0x20000
CSV = "nvs, data, nvs, 0x10000, 0x4000\notadata, data, ota, 0x14000, 0x2000\nota_0, app, ota_0, 0x20000, 256K\n"


class Bench:
    def __init__(self, dryburn, folder):
        self.dryburn, self.folder = dryburn, folder

    def run(self, *words, good=(0,)):
        done = subprocess.run(list(map(str, words)), cwd=self.folder, capture_output=True, text=True, timeout=300)
        if done.returncode not in good:
            raise SystemExit(f"{words}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.returncode, done.stdout

    def ours(self, *words, **more):
        return self.run(self.dryburn, *words, **more)

    def theirs(self, tool, *words):
        """In a process of its own, as the tools keep state, but without starting Python each time."""
        out = tempfile.TemporaryFile()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
                os.chdir(self.folder)
                sys.argv = [tool, *map(str, words)]
                try:
                    {"espsecure": espsecure, "espefuse": espefuse}[tool]._main()
                    status = 0
                except SystemExit as end:
                    status = end.code if isinstance(end.code, int) else int(end.code is not None)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            out.seek(0)
            raise SystemExit(f"{tool} {words}: exit status {status}\n{out.read().decode(errors='replace')}")

    def efuses(self, chip, revision, key, scheme):
        """A virtual chip of that revision with secure boot on and the key's digest burned."""
        name = f"{chip}-{revision}-{key}.virt"
        (self.folder / name).unlink(missing_ok=True)
        virt = ("--virt", "--chip", chip, "--path-efuse-file", name, "--do-not-confirm")
        if revision:
            major = "WAFER_VERSION_MAJOR_LO" if chip == "esp32p4" else "WAFER_VERSION_MAJOR"
            self.theirs("espefuse", *virt, "burn-efuse", major, revision)
        place = () if chip == "esp32c2" else ("BLOCK_KEY0",)
        purpose = () if chip == "esp32c2" else ("SECURE_BOOT_DIGEST0",)
        self.theirs("espefuse", *virt, "burn-key-digest", *place, f"{key}-{scheme}.pem", *purpose)
        wide = ("SECURE_BOOT_SHA384_EN", 1) if scheme == P384 else ()
        self.theirs("espefuse", *virt, "burn-efuse", *wide, "SECURE_BOOT_EN", 1)
        return name

    def flash(self, parts):
        flash = bytearray(b"\xff" * 0x100000)
        for offset, name in parts:
            data = (self.folder / name).read_bytes()
            flash[offset : offset + len(data)] = data
        (self.folder / "flash.bin").write_bytes(flash)

    def boot(self, chip, efuses, scheme):
        options = ("SECURE_BOOT_V2_ENABLED=y", f"PARTITION_TABLE_OFFSET={TABLE:#x}", *CONFIG[scheme])
        words = [word for option in options for word in ("--config", option)]
        return self.ours("boot", "--chip", chip, "--flash", "flash.bin", "--efuses", efuses, *words, good=(0, 1))


def check(bench, chip, offset, revision, scheme):
    """Yields what is wrong."""
    bench.ours("image", "new", "--bootloader", "--chip", chip, "boot.bin")
    bench.ours("image", "new", "--chip", chip, "--size", "64K", "app.bin")
    for key in ("good", "other"):
        pem = f"{key}-{scheme}.pem"
        if not (bench.folder / pem).exists():
            bench.theirs("espsecure", "generate-signing-key", "--version", 2, "--scheme", scheme, pem)
        for name in ("boot", "app"):
            sign = ("sign-data", "--version", 2, "--keyfile", pem, "--output", f"{name}-{key}.bin", f"{name}.bin")
            bench.theirs("espsecure", *sign)
    trusted = bench.efuses(chip, revision, "good", scheme)
    for boot, app, status, line in (
        ("good", "good", 0, "secure_boot_v2: Signature verified successfully!"),
        ("good", "other", 1, "Sig block 0 signed with untrusted key"),
        ("other", "good", 1, "secure boot verification failed"),
    ):
        bench.flash(((offset, f"boot-{boot}.bin"), (TABLE, "table.bin"), (APP, f"app-{app}.bin")))
        found, log = bench.boot(chip, trusted, scheme)
        if found != status or line not in log:
            yield f"bootloader {boot}, app {app}: exit status {found}, expected {status} and '{line}' in\n{log}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dryburn", required=True)
    dryburn = str(Path(parser.parse_args().dryburn).resolve())
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(dryburn, Path(folder))
        (bench.folder / "table.csv").write_text(CSV)
        bench.ours("gen_esp32part", "--offset", hex(TABLE), "table.csv", "table.bin")
        for chip, offset, revision, schemes in BOARDS:
            for scheme in schemes:
                wrong = list(check(bench, chip, offset, revision, scheme))
                passed, failed = passed + (not wrong), failed + bool(wrong)
                for text in wrong:
                    print(f"{chip} v{revision}.0 {scheme}: {text}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
