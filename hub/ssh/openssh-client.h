#pragma once

#include <optional>
#include <string>

namespace pibrain {

// The program `ssh` on PATH, if it is OpenSSH's client: others take the options that it is given
// for something else, and may connect where nothing but a look was meant. What it is is asked once
// (`ssh -V`), and again if another program takes its place on PATH. Any thread may call.
std::optional<std::string> findOpenssh();

// The same. Throws Failure, which says what is there in its place and that `host` needs it.
std::string requireOpenssh(const std::string& host);

// What there is in place of OpenSSH's client, for a person: that there is nothing, or what it is.
std::string whatIsNotOpenssh();

}  // namespace pibrain
