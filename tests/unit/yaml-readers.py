#!/usr/bin/python3
"""Reads a config by PyYAML (YAML 1.1) and by ruamel.yaml (1.2), as other parts of pi-brain may do.

usage: yaml-readers.py CONFIG EXPECTED

EXPECTED holds what each field of each spoke has to be: a line "INDEX FIELD HEX" each, where HEX are the
UTF-8 bytes of the text. What differs is printed, and is exit code 1.
"""
import sys

import ruamel.yaml
import yaml

READERS = {
    "PyYAML": yaml.safe_load,
    "ruamel.yaml 1.1": lambda text: ruamel_load(text, (1, 1)),
    "ruamel.yaml 1.2": lambda text: ruamel_load(text, (1, 2)),
}


def ruamel_load(text, version):
    reader = ruamel.yaml.YAML(typ="safe", pure=True)
    reader.version = version
    return reader.load(text)


def main(config, expected):
    with open(config, "rb") as file:
        text = file.read()
    with open(expected) as file:
        wanted = [line.split(" ") for line in file.read().splitlines()]
    wrong = 0
    for reader, load in READERS.items():
        try:
            spokes = load(text)["spokes"]
        except (yaml.YAMLError, ruamel.yaml.YAMLError) as e:
            print(f"{reader}: {e}")
            wrong += 1
            continue
        for index, field, value in wanted:
            read, right = spokes[int(index)][field], bytes.fromhex(value).decode()
            if not isinstance(read, str) or read != right:
                print(f"{reader}: {field} of {index} is {read!r}, not {right!r}")
                wrong += 1
    return 1 if wrong or not wanted else 0


sys.exit(main(*sys.argv[1:]))
