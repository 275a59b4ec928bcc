#pragma once

#include <optional>
#include <string>

namespace pibrain {

// What `ssh -V` said of a program, which takes as long to ask as all else that ssh is asked.
struct SshVersion {
  std::string program;  // its path and the state of its file
  std::string said;

  bool operator==(const SshVersion&) const = default;
};

// The program `ssh` on PATH, if it is OpenSSH's client: others take the options that it is given
// for something else, and may connect where nothing but a look was meant. What it is is asked once
// (`ssh -V`), and again if another program takes its place on PATH. Any thread may call.
std::optional<std::string> findOpenssh();

// For a process that asks for the first time: an answer that an earlier one got, which holds for
// as long as the program is the same.
void recallSshVersion(SshVersion known);

// An answer for the next process to recall; nullopt: nothing was asked, or it may be otherwise
// soon: a script can start another program, and stay as it is.
std::optional<SshVersion> sshVersionToRecall();

// The same. Throws Failure, which says what is there in its place and that `host` needs it.
std::string requireOpenssh(const std::string& host);

// What there is in place of OpenSSH's client, for a person: that there is nothing, or what it is.
std::string whatIsNotOpenssh();

}  // namespace pibrain
