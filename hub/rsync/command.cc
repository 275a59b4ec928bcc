#include "hub/rsync/command.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include <algorithm>
#include <thread>

#include "common/text/escape.h"
#include "hub/base/failure-status.h"
#include "hub/base/user.h"
#include "hub/mirror/mirror.h"
#include "hub/rsync/explain.h"
#include "hub/rsync/output.h"
#include "hub/ssh/openssh/login-watch.h"
#include "hub/ssh/openssh/openssh-command.h"
#include "hub/ssh/resolve.h"
#include "hub/ssh/turns.h"

namespace pibrain {

namespace {

std::string withSlash(const std::string& path) { return path.ends_with('/') ? path : path + "/"; }

// Returns rsync's --modify-window: how much times may differ, in s; -1: not at all, to the ns. A
// mirror that stores less than nanoseconds needs whole seconds, or more if its times are coarser.
int64_t modifyWindow(int64_t grain) {
  constexpr int64_t SECOND = 1'000'000'000;
  return grain <= 1 ? -1 : std::max<int64_t>(0, (grain + SECOND - 1) / SECOND - 1);
}

}  // namespace

// A path with one of these characters is a pattern, in which a backslash escapes (rsync(1)).
std::string filterFor(const std::string& path) {
  if (path.find_first_of("*?[") == std::string::npos) return "/" + path;
  return "/" +
         absl::StrReplaceAll(path, {{"\\", "\\\\"}, {"*", "\\*"}, {"?", "\\?"}, {"[", "\\["}});
}

std::string stagingOf(const SpokeConfig& spoke) {
  return absl::StrCat(spoke.path, "/", std::string(Mirror::STAGING));
}

RsyncCommand::RsyncCommand(const SpokeConfig& spoke, const RunOptions& options, SpokeReport& report,
                           Progress& progress)
    : spoke_(spoke),
      options_(options),
      report_(report),
      progress_(progress),
      target_(findTarget()),
      known_(target_ ? knownTargetOf(*target_) : KnownTarget()),
      shell_(remoteShell()) {
  for (auto& warning : known_.own.warnings) {
    report_.warnings.push_back(escapeForTerminal(warning));
  }
}

RsyncRun RsyncCommand::run(const std::vector<std::string>& more, const Terms& terms,
                           const std::string& to) {
  auto all = arguments(more, terms, to);
  auto ran = runRsync(all, terms.held, target(), progress_);
  warnOfNewKey(ran);
  for (int attempt = 1; attempt < ConnectTurn::ATTEMPTS && wasTurnedAway(target(), ran);
       ++attempt) {
    std::this_thread::sleep_for(ConnectTurn::pauseBefore(attempt));
    ran = runRsync(all, terms.held, target(), progress_);
    warnOfNewKey(ran);
  }
  report_.wire.up += ran.output.bytesSent;
  report_.wire.down += ran.output.bytesReceived;
  return ran;
}

// Warns once, since a key that cannot be stored is new to each ssh.
void RsyncCommand::warnOfNewKey(const RsyncRun& ran) {
  auto warning = target_ && !warnedOfKey_ ? newKeyBySsh(*target_, known_, ran.login) : "";
  if (warning.empty()) return;
  report_.warnings.push_back(std::move(warning));
  warnedOfKey_ = true;
}

std::vector<std::string> RsyncCommand::arguments(const std::vector<std::string>& more,
                                                 const Terms& terms, const std::string& to) const {
  std::vector<std::string> all{"-az", absl::StrCat("--exclude=/", std::string(Mirror::STAGING)),
                               // mkfs creates it for root alone; it never contains sessions.
                               "--exclude=/lost+found/"};
  for (auto& path : terms.leftOut) all.push_back("--exclude=" + filterFor(path));
  all.insert(all.end(), spoke_.extraArgs.begin(), spoke_.extraArgs.end());
  // After extra_args, so that these options win. P2: private, regular files of this user. P3: whole
  // files, and rewrites within a second are noticed. The rest is for the report.
  all.insert(all.end(), {"--no-links", "--no-D", "--no-owner", "--no-group", "--no-partial",
                         "--sparse", absl::StrCat("--modify-window=", modifyWindow(terms.grain)),
                         spoke_.keepModes ? "--chmod=u-s,g-s,-t,Du+rwx,Fu+rw" : "--chmod=D700,F600",
                         "--stats", "--info=progress2", "--no-human-readable",
                         absl::StrCat("--out-format=", RsyncOutput::OUT_FORMAT),
                         absl::StrCat("--timeout=", spoke_.timeoutSeconds)});
  uint32_t limit = options_.rsyncBwLimit > 0 ? options_.rsyncBwLimit : spoke_.bwLimit;
  if (limit > 0) all.push_back(absl::StrCat("--bwlimit=", limit));
  if (!shell_.empty()) all.push_back("--rsh=" + shell_);
  all.insert(all.end(), more.begin(), more.end());
  all.insert(all.end(), {"--", withSlash(source()), withSlash(to)});
  return all;
}

std::optional<SshTarget> RsyncCommand::findTarget() const {
  if (isLocal(spoke_)) return std::nullopt;
  auto target = resolveSsh(sshRequestOf(spoke_));
  if (!target.ok()) throw failureOf(target.status(), FailureId::SSH_CONFIG_INVALID);
  return *std::move(target);
}

// Returns the ssh command for rsync's --rsh.
std::string RsyncCommand::remoteShell() const {
  if (!target_) return "";
  // rsync(1), --rsh: quotes work as in a shell, but a doubled quote stands for one quote.
  std::string shell;
  auto words = opensshOptions(*target_, {TELLING_LOG_LEVEL});
  words.insert(words.end(), {"-l", target_->user});
  for (auto& word : words) {
    absl::StrAppend(&shell, shell.empty() ? "'" : " '", absl::StrReplaceAll(word, {{"'", "''"}}),
                    "'");
  }
  return shell;
}

std::string RsyncCommand::source() const {
  return isLocal(spoke_) ? expandHome(spoke_.source.path) : spoke_.sourceText;
}

}  // namespace pibrain
