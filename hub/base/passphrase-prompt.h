#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace pibrain {

// Holds the terminal, so that nobody is asked meanwhile; not owned if somebody is being asked.
std::unique_lock<std::mutex> tryTerminal();

// Overwrites it before it is freed.
void wipe(std::string& passphrase);

// The passphrases of one run, as a person typed them at the terminal. A key that serves for many
// spokes is asked for once, and who does not know its passphrase is left alone after that. They are
// forgotten with this object. Any thread may call.
class Passphrases {
 public:
  Passphrases() = default;
  ~Passphrases();
  Passphrases(const Passphrases&) = delete;
  Passphrases& operator=(const Passphrases&) = delete;

  // The passphrase that `opens` the key in this file. nullopt: it is not known, and there is no
  // terminal, `mayAsk` says no, or the person does not know it either. `name`: of the key, for the
  // question.
  std::optional<std::string> find(const std::string& path, const std::string& name, bool mayAsk,
                                  const std::function<bool(const std::string&)>& opens);

 private:
  std::mutex mutex_;                          // held while one is asked for
  std::map<std::string, std::string> right_;  // by the key's path
  std::set<std::string> unknown_;             // to the person; paths
};

}  // namespace pibrain
