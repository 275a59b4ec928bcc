#!/usr/bin/env python3
"""Compare `pi-brain sync run` on an empty tree with `ssh host true` over one private sshd, in turn.

usage: connect.py [--pairs P]

Both log in with a key of their own; pi-brain's has the agent as its forced command.
PIBRAIN_BIN names the directory of the programs.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402


def seconds(command):
    began = time.monotonic()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        work = pathlib.Path(directory)
        (work / "tree").mkdir()
        sshd = harness.Sshd(work / "sshd", [harness.USUAL_KEY_EXCHANGE])
        sshd.authorize_agent(work / "tree")
        key = harness.keygen(work / "plain_key")
        with open(sshd.authorized_keys, "a") as out:
            out.write(pathlib.Path(f"{key}.pub").read_text())
        plain = work / "plain_config"
        plain.write_text(sshd.ssh_config.read_text().replace(str(sshd.key), str(key)))
        config = work / "config.yaml"
        config.write_text(json.dumps({
            "hub": {"database_dir": str(work / "data"), "archive_dir": str(work / "archive"),
                    "ssh_config": str(sshd.ssh_config)},
            "spokes": [{"name": "bench", "sync_method": "agent", "source": f"spoke:{work}/tree",
                        "path": str(work / "mirror")}]}))
        ssh = ["ssh", "-n", "-F", plain, "spoke", "true"]
        ours = [harness.HUB, "sync", "run", "-c", config]
        pairs = [(seconds(ssh), seconds(ours)) for _ in range(arguments.pairs + 1)][1:]
        theirs, our = (statistics.median(column) for column in zip(*pairs))
        print(f"ssh host true {theirs * 1000:.0f} ms   pi-brain {our * 1000:.0f} ms   ratio {our / theirs:.2f}")
        sshd.stop()


if __name__ == "__main__":
    main()
