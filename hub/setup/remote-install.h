#pragma once
// deploy/install-spoke.sh, run on a spoke through the login of the person who sets it up.
//
// ssh starts /bin/sh there, whatever the login shell is, and gives it the script on standard input,
// once that has shown that it is what reads: another shell would run parts of the script.
// With --token=WORD the script says each thing as a line "WORD …", so that what start-up files
// print is passed over:
//   WORD reads 0x             a shell of sh's kind does (before the script is sent)
//   WORD need ARCHITECTURE    send the agent for it: a line with its size, then its bytes
//   WORD installed ARCHITECTURE AGENT LINE
//                             what became of both: "new", "added", "replaced", "same"
//   WORD say TEXT             for a person
//   WORD fail TEXT            nothing was changed, and why; "no-agent ARCHITECTURE": none to send
//   WORD undone               all was taken back
//   WORD kept                 with --retire: it is to stay, and the old lines still do
//   WORD done
// After "installed" it waits for a line "keep", and after "kept" for "retire". Anything else, the
// end of the connection, and so many seconds in all as --patience says have it take everything
// back, or leave the old lines.
// --hashes='ARCHITECTURE=SHA256 …' are the agents there are, --agent-only leaves the line,
// --retire='BLOB …' are the keys whose lines go in the end, and with --new-spoke a line of this key
// for another directory is a mistake.

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hub/base/subprocess.h"
#include "hub/setup/agents.h"
#include "hub/ssh/target.h"

namespace pibrain {

struct InstallRequest {
  std::string publicKey;             // "TYPE BLOB COMMENT"
  std::string root;                  // as in a source: "~" is the spoke's
  std::string from;                  // patterns as in sshd(8); empty: as it was, or any
  std::vector<std::string> exclude;  // as AddRequest has it
  std::vector<std::string> retire;   // the blobs of keys whose lines go when all is kept
  bool newSpoke = false;             // the key has no line there yet, as far as the hub knows
  bool agentOnly = false;
  bool dryRun = false;
};

struct Installed {
  std::string architecture;
  std::string agent, line;  // "new" or "added", "replaced", "same"
};

class RemoteInstall {
 public:
  // `target` is the person's own login; with `mayAsk`, ssh may ask at the terminal.
  RemoteInstall(SshTarget target, bool mayAsk);
  ~RemoteInstall() noexcept(false);  // takes back what was not kept
  KJ_DISALLOW_COPY(RemoteInstall);

  // To be called once, one of them. They throw Failure, and then nothing was changed there.
  Installed install(const InstallRequest& request, const std::vector<AgentProgram>& agents);
  void uninstall(const std::string& publicKey, bool dryRun);

  // After install(), unless it was a dry run: what it did stays. Throws Failure.
  void commit();
  // After commit(): the lines of the retired keys go. Throws Failure.
  void retire();
  // Instead of commit(): returns whether it is known that all was taken back.
  bool rollBack();

  // What there was to say, for a person, since the last call.
  std::vector<std::string> drainMessages();

 private:
  void start(std::vector<std::string> arguments);
  void send(const std::string& bytes);
  // The next line that is meant for us: its first word, and the rest.
  std::pair<std::string, std::string> answer();
  void waitReady(short events);
  void requireSh();
  bool readMore();
  // When waitReady(), which began then, gives up; and why it did.
  std::chrono::steady_clock::time_point limit(std::chrono::steady_clock::time_point began);
  [[noreturn]] void explainSilence();
  [[noreturn]] void failWithDiagnosis();

  SshTarget target_;
  const bool mayAsk_;
  std::string token_;
  Spawned ssh_{-1, nullptr, nullptr};
  std::string received_;                           // what has no line's end yet
  size_t total_ = 0;                               // bytes that came
  std::string noise_;                              // what was not meant for us, its beginning
  bool heard_ = false;                             // anything meant for us
  std::chrono::seconds patience_{20};              // for what it takes back in the end
  std::chrono::steady_clock::time_point start_;    // of ssh
  std::chrono::steady_clock::time_point heardAt_;  // of anything meant for us, the first time
  std::optional<std::chrono::steady_clock::time_point> loggedIn_;  // when ssh was seen to have
  std::vector<std::string> messages_;
};

}  // namespace pibrain
