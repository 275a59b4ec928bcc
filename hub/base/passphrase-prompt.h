#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace pibrain {

// Locks the terminal, so that no passphrase is asked for meanwhile. The lock is not owned if a
// question is being asked.
std::unique_lock<std::mutex> tryTerminal();

// Overwrites the passphrase, to be called before it is freed.
void wipe(std::string& passphrase);

// The passphrases that a person typed at the terminal during one run. Each key's is asked for once,
// even if many spokes use the key and even if the person does not know it. This object's end
// forgets them. Any thread may call.
class Passphrases {
 public:
  Passphrases() = default;
  ~Passphrases();
  Passphrases(const Passphrases&) = delete;
  Passphrases& operator=(const Passphrases&) = delete;

  // Returns the passphrase that `opens` the key in this file. nullopt: it is not known, and there
  // is no terminal, `mayAsk` is false, or the person does not know it either. `name`: what the
  // question calls the key.
  std::optional<std::string> find(const std::string& path, const std::string& name, bool mayAsk,
                                  const std::function<bool(const std::string&)>& opens);

 private:
  std::mutex mutex_;                          // held while one is asked for
  std::map<std::string, std::string> right_;  // by path of the key
  std::set<std::string> unknown_;  // paths of keys whose passphrase the person does not know
};

}  // namespace pibrain
