// usage: hostile-hub CASE LOG COMMAND [ARGUMENT…]
//
// Runs the command (an agent, or ssh) on a socket pair, misbehaves towards it by the case, hangs
// up, and prints how the command reacted. Everything received goes to LOG: the raw bytes, and the
// content of blocks.

#include "tests/e2e/hostile-hub.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <kj/time.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fs/file-io.h"
#include "common/wire/protocol.h"

namespace pibrain {

namespace {

const char* kindOf(proto::Event::Reader event) {
  constexpr const char* KINDS[] = {"summary", "directory", "unseen",    "problem",
                                   "begin",   "data",      "end",       "differs",
                                   "refused", "digest",    "signature", "entry"};
  return KINDS[event.which()];
}

constexpr const char* REASONS[] = {"vanished", "denied",         "notRegular",
                                   "changing", "unfinishedLine", "tooDeep",
                                   "tooMany",  "ioError",        "badRequest"};

double now() {
  return double((kj::systemPreciseMonotonicClock().now() - kj::origin<kj::TimePoint>()) /
                kj::MICROSECONDS) /
         1e6;
}

kj::AutoCloseFd start(char** command, pid_t& pid) {
  int ends[2];
  KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  kj::AutoCloseFd ours(ends[0]), theirs(ends[1]);
  KJ_SYSCALL(pid = fork());
  if (pid == 0) {
    dup2(theirs, 0);
    dup2(theirs, 1);
    execvp(command[0], command);
    _exit(127);
  }
  return ours;
}

// Waits for the command to end, and prints how it did.
void await(pid_t pid) {
  double begun = now();
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (now() - begun > 30) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      puts("command: still there after 30 s");
      return;
    }
    usleep(5000);
  }
  printf("command: %s %d\n", WIFEXITED(status) ? "exit" : "signal",
         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  printf("seconds: %.2f\n", now() - begun);
}

}  // namespace

kj::Promise<size_t> Tap::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  if (deaf_) return kj::NEVER_DONE;
  return inner_->tryRead(buffer, minBytes, maxBytes).then([this, buffer](size_t n) {
    writeAll(log_, kj::arrayPtr(static_cast<const kj::byte*>(buffer), n));
    return n;
  });
}

Hub::Hub(kj::AutoCloseFd socket, int logFd) : log(logFd) {
  stream = kj::heap<Tap>(io.lowLevelProvider->wrapSocketFd(kj::mv(socket)), log);
}

void Hub::greet() {
  std::string preamble(PREAMBLE.size(), '\0');
  stream->read(preamble.data(), preamble.size()).wait(io.waitScope);
  KJ_REQUIRE(preamble == PREAMBLE, "no preamble");
  pause("ready");
}

void Hub::connect() {
  greet();
  network = kj::heap<capnp::TwoPartyVatNetwork>(*stream, capnp::rpc::twoparty::Side::CLIENT);
  rpc = kj::heap(capnp::makeRpcClient(*network));
  capnp::MallocMessageBuilder message;
  auto id = message.initRoot<capnp::rpc::twoparty::VatId>();
  id.setSide(capnp::rpc::twoparty::Side::SERVER);
  spoke = rpc->bootstrap(id).castAs<proto::Spoke>();
  sessions = spoke.helloRequest().send().wait(io.waitScope).getSessions();
}

void Hub::scan() {
  auto request = sessions.scanRequest();
  request.setKnownComplete(true);
  auto blocks = request.send().wait(io.waitScope).getListing();
  BlockReader reader;
  for (bool last = false; !last;) {
    auto response = blocks.nextRequest().send().wait(io.waitScope);
    reader.read(response.getBlock(), [&](proto::Event::Reader event) {
      if (event.isSummary()) files = event.getSummary().getFiles();
    });
    last = response.getLast();
  }
}

std::string Hub::drain(proto::Blocks::Client blocks) {
  std::map<std::string, uint64_t> counts;
  BlockReader reader;
  auto note = [&](proto::Event::Reader event) {
    ++counts[event.isRefused() ? REASONS[int(event.getRefused().getReason())] : kindOf(event)];
    if (event.isData()) writeAll(log, event.getData().getBytes());
    if (event.isSignature()) writeAll(log, event.getSignature());
  };
  for (bool last = false; !last;) {
    auto response = blocks.nextRequest().send().wait(io.waitScope);
    reader.read(response.getBlock(), note);
    last = response.getLast();
  }
  std::string text;
  for (auto& [kind, count] : counts) text += kind + " " + std::to_string(count) + " ";
  return text;
}

std::string Hub::taste(proto::Blocks::Client blocks) {
  auto response = blocks.nextRequest().send().wait(io.waitScope);
  return response.getBlock().size() > 0 ? "a block" : "nothing";
}

void Hub::timed(const std::string& name, kj::FunctionParam<std::string()> work) {
  double begun = now();
  std::string result;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { result = work(); })) {
    result = std::string("failed: ") + e->getDescription().cStr();
  }
  printf("%s: %.2f s, %s\n", name.c_str(), now() - begun, result.c_str());
  fflush(stdout);
}

void Hub::pause(const char* word) {
  puts(word);
  fflush(stdout);
  char answer[16];
  if (fgets(answer, sizeof(answer), stdin) == nullptr) _exit(1);
}

}  // namespace pibrain

int main(int argc, char** argv) {
  using namespace pibrain;
  if (argc < 4) return 2;
  signal(SIGPIPE, SIG_IGN);
  void (*run)(Hub&) = nullptr;
  for (auto* cases : {&HOSTILE_BYTES, &HOSTILE_CALLS, &HOSTILE_CROWD}) {
    auto found = cases->find(argv[1]);
    if (found != cases->end()) run = found->second;
  }
  if (run == nullptr) return 2;
  kj::AutoCloseFd log(open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  pid_t pid = -1;
  auto socket = start(argv + 3, pid);
  int end = socket;
  Hub hub(kj::mv(socket), log);
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { run(hub); })) {
    printf("case: %s\n", e->getDescription().cStr());
  }
  hub.pause("done");
  // Without a goodbye; ssh would first flush its output.
  if (std::string_view(argv[3]).ends_with("ssh")) kill(pid, SIGKILL);
  shutdown(end, SHUT_RDWR);
  await(pid);
  fflush(stdout);
  _exit(0);
}
