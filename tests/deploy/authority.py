"""A certificate authority for tests: signs certificates that only clients with its file trust."""

import subprocess
from pathlib import Path

DAYS = "2"


class Authority:
    """`file` is what a client must trust."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.file, self._key = folder, folder / "authority.pem", folder / "authority.key"
        subject = ["-subj", "/CN=Authority for tests", "-addext", "basicConstraints=critical,CA:TRUE"]
        subject += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]  # Python 3.13 wants it, and the key's id below
        _openssl("req", "-x509", *_new_key(self._key), "-days", DAYS, *subject, "-out", self.file)

    def issue(self, target: Path, *names: str) -> None:
        """Writes `fullchain.pem` and `privkey.pem` for these host names to the folder `target`; over earlier ones, too.

        An RSA key, because only with one could a server offer the key exchange that a scan must not find.
        """
        target.mkdir(parents=True, exist_ok=True)
        request, extensions = self._folder / "request.pem", self._folder / "extensions"
        named = ",".join(f"DNS:{name}" for name in names)
        extensions.write_text(f"subjectAltName={named}\nauthorityKeyIdentifier=keyid\n")
        key, certificate = target / "privkey.pem.new", target / "fullchain.pem.new"
        _openssl("req", *_new_key(key), "-subj", f"/CN={names[0]}", "-out", request)
        signed_by = ["-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions]
        _openssl("x509", "-req", "-in", request, *signed_by, "-days", DAYS, "-out", certificate)
        for new in (key, certificate):
            new.replace(new.with_suffix(""))


def _new_key(file: Path) -> list[str | Path]:
    return ["-newkey", "rsa:2048", "-nodes", "-keyout", file]


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
