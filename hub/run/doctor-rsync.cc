// The doctor's checks of a spoke that rsync syncs.

#include <absl/strings/str_cat.h>
#include <kj/async-io.h>
#include <kj/time.h>

#include "common/fs/file-times.h"
#include "common/text/format.h"
#include "hub/base/failure-status.h"
#include "hub/connect/connect-ssh.h"
#include "hub/mirror/deletion.h"
#include "hub/mirror/open-mirror.h"
#include "hub/rsync/sync.h"
#include "hub/run/doctor-parts.h"
#include "hub/run/login-steps.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

namespace {

// Checks the login, and whether rsync is installed if the key lets the doctor ask.
void examineProgram(const SpokeConfig& spoke, const std::shared_ptr<Passphrases>& passphrases,
                    Checklist& checks) {
  LoginSteps steps(checks);
  checks.at("ssh");
  auto target = resolveSsh(sshRequestOf(spoke));
  if (!target.ok()) throw failureOf(target.status(), FailureId::SSH_CONFIG_INVALID);
  auto io = kj::setupAsyncIo();
  // As in a run, where rsync starts ssh.
  SshOptions options(steps.options(passphrases));
  options.mode = SshMode::OPENSSH;
  auto connection = connectSsh(*target, "rsync --version", options, io);
  connection->stream().shutdownWrite();
  auto end = kj::systemPreciseMonotonicClock().now() + 10 * kj::SECONDS;
  auto silence = io.provider->getTimer().atTime(end);
  auto text = connection->stream()
                  .readAllText(64 * 1024)
                  .exclusiveJoin(silence.then([]() { return kj::heapString(""); }))
                  .wait(io.waitScope);
  checks.at("rsync");
  auto first = std::string(text.cStr()).substr(0, std::string(text.cStr()).find('\n'));
  if (first.starts_with("rsync ")) {
    checks.good(absl::StrCat("on the spoke: ", first));
  } else {
    checks.warn(Failure(FailureId::RSYNC_UNSEEN,
                        "the key does not run 'rsync --version' on the spoke",
                        "Either rsync is missing, or a forced command (rrsync) answers instead, "
                        "which is fine."));
  }
}

// Returns 0 also if the mirror cannot be read, which examineMirror() reports.
uint64_t filesInMirror(const Config& config, const SpokeConfig& spoke, Store* store) {
  try {
    return openMirror(config, spoke, store, Mirror::Access::READ, wallClockNanos()).walk().files;
  } catch (const Failure&) {
    return 0;
  }
}

}  // namespace

void examineByRsync(const Config& config, const SpokeConfig& spoke,
                    const std::shared_ptr<Passphrases>& passphrases, Store* store,
                    Checklist& checks) {
  if (!isLocal(spoke)) examineProgram(spoke, passphrases, checks);
  // A dry run, which finds whatever keeps a run from syncing.
  checks.at("sessions");
  SpokeReport would;
  would.started = wallClockNanos();
  RunOptions options;
  options.dryRun = true;
  options.passphrases = passphrases;
  Progress unseen;
  syncByRsync(config, spoke, options, store, would, unseen);
  auto mirrored = filesInMirror(config, spoke, store);
  if (would.counts.files == 0 && mirrored > 0) {
    return checks.warn(rootEmpty(spoke.source.path, mirrored));
  }
  checks.good(absl::StrCat(countOf(would.counts.files, "file"), " on the spoke, ",
                           would.changes.size(), " of them to fetch"));
}

}  // namespace pibrain
