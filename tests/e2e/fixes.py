"""The commands that failures tell a person to run. Every document that a test gets from pi-brain is checked: each
command is one that a shell takes, of programs that exist, with options that they have."""
import functools
import json
import os
import pathlib
import re
import shlex
import subprocess

HUB = pathlib.Path(os.environ["PIBRAIN_BIN"]) / "pi-brain"

PROGRAMS = {
    "pi-brain", "pi-brain-agent", "install-spoke.sh", "deploy/build-agents.sh", "nano", "vi",
    "ssh", "ssh-add", "ssh-copy-id", "ssh-keygen", "ssh-keyscan", "rsync", "systemctl", "timedatectl", "crontab",
    "cat", "chmod", "chown", "chsh", "cp", "cut", "df", "dmesg", "du", "echo", "find", "findmnt", "getent", "grep", "head", "ip", "journalctl",
    "kill", "ls", "man", "mkdir", "mount", "mv", "nc", "ping", "printf", "ps", "rm", "sed", "sh", "sshd", "tail", "touch", "true", "ufw", "ulimit", "unlink", "wc", "apt",
} | {"exit", "false", "python3", "socat"}  # of proxies, which a person is told to run


def commands_in(document):
    """Of all failures, wherever they are in it."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == "fixes":
                yield from (fix["command"] for fix in value if fix["command"])
            else:
                yield from commands_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from commands_in(value)


@functools.cache
def help_of(words):
    done = subprocess.run([HUB, *words, "--help"], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def mistake_of_pi_brain(words):
    names = []
    while words and re.fullmatch("[a-z-]+", words[0]) and not words[0].startswith("-") and help_of((*names, words[0])):
        if help_of((*names, words[0])) == help_of(tuple(names)):
            break  # an argument
        names.append(words.pop(0))
    if not names:
        return "no command"
    unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in help_of(tuple(names))]
    return f"'{' '.join(names)}' has no {unknown[0]}" if unknown else None


@functools.cache
def mistake_in(command):
    done = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr
    lexer = shlex.shlex(command, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    simple = [[]]
    for word in lexer:
        if word and set(word) <= set(";|&"):
            simple.append([])
        else:
            simple[-1].append(word)
    for words in filter(None, simple):
        while words and (words[0] == "sudo" or re.match(r"\w+=", words[0])):
            words.pop(0)
        program = words.pop(0)
        if program not in PROGRAMS and not program.startswith("/"):
            return f"{program} is not in PROGRAMS, fixes.py"
        if program == "pi-brain":
            mistake = mistake_of_pi_brain(words)
            if mistake:
                return mistake
    return None


def check(text):
    """Raises AssertionError. `text` may be something else than a document."""
    try:
        document = json.loads(text)
    except ValueError:
        return
    for command in commands_in(document):
        mistake = mistake_in(command)
        if mistake:
            raise AssertionError(f"the command of a fix cannot be run: {mistake}\n  {command}")
