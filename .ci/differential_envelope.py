"""Envelopes: dryburn against the rules of esp_encrypted_img, written a second time here over the `cryptography` package.

    python .ci/differential_envelope.py --dryburn PATH [--seed N] [--cases N] [--vendor esp_enc_img_gen.py]

What dryburn seals is opened here, what is sealed here dryburn opens, and a changed byte is refused. With --vendor, Espressif's own
tool stands in for the rules written here. Ends with `N passed, N failed`; exit status 1 if anything failed.
"""

import argparse
import hashlib
import os
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = hashlib.sha256(b"esp_encrypted_img").digest()[3::-1]
SALT = bytes.fromhex("0e2160642dae76d33448e43d7720123d9f3b1eceb88e573a4e8f7fb94ff0c869")
SIZES = (0, 1, 15, 16, 17, 31, 32, 4095, 4096, 70000)


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def public_pem(key):
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def device_key(hmac_key):
    number = int.from_bytes(hashlib.pbkdf2_hmac("sha256", hmac_key, SALT, 2048, 32), "big")
    return ec.derive_private_key(number, ec.SECP256R1())


def agreed(secret, public, salt):
    shared = secret.exchange(ec.ECDH(), public)
    return HKDF(hashes.SHA256(), 32, salt, b"_esp_enc_img_ecc").derive(shared)


class Rules:
    """The format as its description has it."""

    def seal(self, folder, plain, private, public_file, envelope):
        key, iv = os.urandom(32), os.urandom(16)
        if isinstance(private, rsa.RSAPrivateKey):
            wrapped = private.public_key().encrypt(key, padding.PKCS1v15())
        else:
            server, salt = ec.generate_private_key(ec.SECP256R1()), os.urandom(32)
            key = agreed(server, private.public_key(), salt)
            point = server.public_key().public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            )
            wrapped = (point[1:] + salt).ljust(384, b"\0")
        sealed = AESGCM(key).encrypt(iv, (folder / plain).read_bytes(), None)
        body, tag = sealed[:-16], sealed[-16:]
        header = MAGIC + wrapped + iv + struct.pack("<I", len(body)) + tag + bytes(88)
        (folder / envelope).write_bytes(header + body)

    def open(self, folder, envelope, private, private_file, plain):
        file = (folder / envelope).read_bytes()
        magic, wrapped, iv, size, tag = struct.unpack("<4s384s16sI16s", file[:424])
        if magic != MAGIC or any(file[424:512]) or len(file) != 512 + size:
            return False
        try:
            if isinstance(private, rsa.RSAPrivateKey):
                key = private.decrypt(wrapped, padding.PKCS1v15())
            else:
                public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + wrapped[:64])
                if any(wrapped[96:]):
                    return False
                key = agreed(private, public, wrapped[64:96])
            (folder / plain).write_bytes(AESGCM(key).decrypt(iv, file[512:] + tag, None))
        except (InvalidTag, ValueError):
            return False
        return True


class Vendor:
    """Espressif's tool."""

    def __init__(self, script):
        self.script = str(Path(script).resolve())

    def run(self, folder, *words):
        done = subprocess.run([sys.executable, self.script, *words], cwd=folder, capture_output=True, timeout=120)
        return done.returncode == 0

    def seal(self, folder, plain, private, public_file, envelope):
        assert self.run(folder, "encrypt", plain, public_file, envelope)

    def open(self, folder, envelope, private, private_file, plain):
        return self.run(folder, "decrypt", envelope, private_file, plain)


def main():
    options = argparse.ArgumentParser(description="dryburn's envelopes against the rules of the format")
    options.add_argument("--dryburn", required=True, help="the dryburn program")
    options.add_argument("--seed", type=int, default=7, help="of every random choice but keys and IVs")
    options.add_argument("--cases", type=int, default=20, help="how many envelopes each way and scheme")
    options.add_argument("--vendor", help="Espressif's esp_enc_img_gen.py, instead of the rules written here")
    options = options.parse_args()
    rng, failed, passed = random.Random(options.seed), [], 0
    dryburn = str(Path(options.dryburn).resolve())
    other = Vendor(options.vendor) if options.vendor else Rules()

    def ours(folder, *words):
        done = subprocess.run([dryburn, *words], cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode not in (0, 1):
            raise SystemExit(f"dryburn {words}: exit status {done.returncode}\n{done.stderr}")
        return done.returncode == 0

    def check(good, what):
        nonlocal passed
        passed += good
        if not good:
            failed.append(what)
            print(f"FAILED: {what}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hmac_key = rng.randbytes(32)
        (folder / "hmac.bin").write_bytes(hmac_key)
        keys = {"rsa": rsa.generate_private_key(65537, 3072), "ecc": device_key(hmac_key)}
        for scheme, key in keys.items():
            (folder / f"{scheme}.pem").write_bytes(pem(key))
            (folder / f"{scheme}-pub.pem").write_bytes(public_pem(key.public_key()))
        for scheme, key in keys.items():
            for number in range(options.cases):
                size = SIZES[number] if number < len(SIZES) else rng.randrange(20000)
                plain = rng.randbytes(size)
                (folder / "plain").write_bytes(plain)
                what = f"{scheme}, {size} bytes"
                # ours, by either command
                verb = ("enc-img", "encrypt", "plain", f"{scheme}-pub.pem", "ours.enc")
                if number % 2:
                    verb = ("envelope", "seal", "--key", f"{scheme}-pub.pem", "plain", "ours.enc")
                check(ours(folder, *verb), f"{what}: sealing")
                check(other.open(folder, "ours.enc", key, f"{scheme}.pem", "back"), f"{what}: ours is refused there")
                check((folder / "back").read_bytes() == plain, f"{what}: ours opens to something else there")
                # theirs, by either command and, with ECIES, by either key
                other.seal(folder, "plain", key, f"{scheme}-pub.pem", "theirs.enc")
                verb = ("enc-img", "decrypt", "theirs.enc", f"{scheme}.pem", "back2")
                if number % 2 and scheme == "ecc":
                    verb = ("envelope", "open", "--hmac-key", "hmac.bin", "theirs.enc", "back2")
                check(ours(folder, *verb), f"{what}: theirs is refused here")
                check((folder / "back2").read_bytes() == plain, f"{what}: theirs opens to something else here")
                # a changed byte
                changed = bytearray((folder / "theirs.enc").read_bytes())
                at = rng.randrange(512) if number % 2 else rng.randrange(len(changed))
                changed[at] ^= rng.randrange(1, 256)
                (folder / "changed.enc").write_bytes(changed)
                opened = ours(folder, "envelope", "open", "--key", f"{scheme}.pem", "changed.enc", "back3")
                check(not opened and not (folder / "back3").exists(), f"{what}: changed at {at:#x} and opened")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
