// pi-brain-agent: what sshd starts on a spoke. It reads below one directory, and that is all.

#include <getopt.h>
#include <kj/async-unix.h>
#include <kj/debug.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <new>
#include <string>
#include <vector>

#include "common/delta/delta.h"
#include "common/fs/io-error.h"
#include "common/fs/own-program.h"
#include "common/text/environment.h"
#include "common/text/exclusions.h"
#include "common/text/utf8.h"
#include "spoke-agent/confine/sandbox.h"
#include "spoke-agent/confine/stdio-stream.h"
#include "spoke-agent/serve/agent-server.h"
#include "spoke-agent/setup/authorized-keys.h"
#include "spoke-agent/tree/directory-tree.h"

#ifdef PIBRAIN_ESCAPE_HOOK
void tryToEscape();  // tests/e2e/escape.cc
#endif

namespace {

constexpr char HELP[] =
    R"(pi-brain-agent: lets a hub read this machine's pi sessions, and nothing else

usage: pi-brain-agent --root=DIR [--exclude=PATTERN...] [--memory-limit=MIB]
                      [--require-sandbox]
       pi-brain-agent [--root=DIR] [--exclude=PATTERN...]
                      --authorized-keys-line KEY.pub [--from=PATTERNS]

  --root=DIR    the directory to serve, read-only (default ~/.pi/agent/sessions);
                bytes:… is a path percent-encoded, which needs no quotes in any shell
  --exclude=PATTERN
                what in it is not served, neither listed nor read: '*.tmp' or
                'node_modules/' anywhere, '/work/old' at one place, in the manner of
                gitignore(5); may be given several times, and as bytes:… too
  --memory-limit=MIB
                the most memory it may take, in MiB of address space (default 512)
  --require-sandbox
                do not serve on a kernel that cannot confine it (Landlock, seccomp)
  --authorized-keys-line KEY.pub
                print the line for ~/.ssh/authorized_keys that lets this key start
                the agent and nothing else: no shell, no forwarding, no terminal
                (-: the key comes on standard input)
  --from=PATTERNS
                with it: only from these addresses, as in sshd(8): 192.0.2.0/24,…
  --version     print the version
  --help        print this

It speaks a binary protocol on standard input and output, so it is of no use by
hand: sshd starts it when the hub connects. To set this machine up as a spoke:

  pi-brain-agent --authorized-keys-line pi-brain-sync.pub >> ~/.ssh/authorized_keys
)";

constexpr int EXIT_USAGE = 2;
constexpr unsigned MIN_MEMORY = 64, MAX_MEMORY = 1024 * 1024;  // MiB

struct Options {
  std::string root = "~/.pi/agent/sessions";
  std::string publicKey;
  std::string from;
  std::vector<std::string> exclude;
  uint64_t memoryLimit = 512;  // MiB
  bool requireSandbox = false;
};

// The text of a small file; "-": standard input, for which /dev/stdin would need a /proc.
std::string readText(const std::string& path) {
  FILE* file = path == "-" ? stdin : fopen(path.c_str(), "re");
  if (file == nullptr) pibrain::throwErrno(errno, "cannot open " + path);
  KJ_DEFER(fclose(file));
  char buffer[32768];
  return std::string(buffer, fread(buffer, 1, sizeof(buffer), file));
}

// Of the login, without symlinks, as ownProgram() gives the agent's path; empty: not known.
std::string homeDirectory() {
  char path[PATH_MAX];
  return realpath(pibrain::environment("HOME").c_str(), path) != nullptr ? path : "";
}

void printAuthorizedKeysLine(const Options& options) {
  auto line = pibrain::authorizedKeysLine(readText(options.publicKey), pibrain::ownProgram(),
                                          homeDirectory(), pibrain::expandPath(options.root),
                                          options.exclude, options.from);
  puts(line.c_str());
}

// Says why it is none, if so: what is meant to be left out must not be served.
bool takeExclude(const char* text, Options& options) {
  auto pattern = pibrain::readExactPath(text);
  std::string why = !pattern ? "bytes: must have a percent-encoded pattern behind it"
                    : options.exclude.size() == pibrain::Exclusions::MAX_PATTERNS
                        ? "there are more than 100 of them"
                        : pibrain::Exclusions::whyNot(*pattern);
  if (why.empty()) return options.exclude.push_back(*pattern), true;
  fprintf(stderr, "pi-brain-agent: --exclude=%s: %s.\n", text, why.c_str());
  return false;
}

// 0 if it is no number or out of bounds.
uint64_t parseMemoryLimit(const char* text) {
  char* end = nullptr;
  unsigned long long number = strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0' && number >= MIN_MEMORY &&
                 number <= MAX_MEMORY
             ? number
             : 0;
}

// A spoke may be small: what is large is given back as soon as it is free, and the threads of a
// walk share one heap.
void saveMemory() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
  mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

[[noreturn]] void refuseToServe(const pibrain::Sandbox& sandbox) {
  kj::throwFatalException(kj::Exception(
      kj::Exception::Type::FAILED, __FILE__, __LINE__,
      kj::str("this machine cannot confine it (", sandbox.describe().c_str(),
              "), and --require-sandbox is given. Landlock takes Linux 5.13 or later; without "
              "--require-sandbox it serves with what there is.")));
}

// Not by an exception, which could meet a destructor.
void endWithoutMemory() {
  constexpr char WORDS[] =
      "pi-brain-agent: it would take more memory than its limit; --memory-limit=MIB allows more\n";
  [[maybe_unused]] ssize_t said = write(STDERR_FILENO, WORDS, sizeof(WORDS) - 1);
  _exit(1);
}

void serveStdio(const Options& options) {
  std::set_new_handler(endWithoutMemory);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // standard error may be a file, which may not grow
  saveMemory();
  // Whatever else whoever started it left open is none of its business.
  close_range(STDERR_FILENO + 1, ~0u, 0);
  auto root =
      kj::refcounted<pibrain::DirectoryTree>(options.root, pibrain::Exclusions(options.exclude));
  auto sandbox = pibrain::enterSandbox(root->fd(), options.memoryLimit << 20);
  if (options.requireSandbox && !sandbox.whole()) refuseToServe(sandbox);
#ifdef PIBRAIN_ESCAPE_HOOK
  tryToEscape();
#endif
  // The hub is going to ask, but the question is on its way for a round trip.
  root->prefetchScan();
  pibrain::initLibrsync();
  kj::UnixEventPort port;
  kj::EventLoop loop(port);
  kj::WaitScope waitScope(loop);
  pibrain::endAfterHangUp();
  auto stream = pibrain::takeStdio(port);
  pibrain::serve(*stream, pibrain::makeSpoke(kj::mv(root), sandbox.describe()), waitScope);
}

int fail(const kj::Exception& e) {
  fprintf(stderr, "pi-brain-agent: %s\n", e.getDescription().cStr());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const struct option flags[] = {{"root", required_argument, nullptr, 'r'},
                                 {"authorized-keys-line", required_argument, nullptr, 'a'},
                                 {"from", required_argument, nullptr, 'f'},
                                 {"exclude", required_argument, nullptr, 'x'},
                                 {"memory-limit", required_argument, nullptr, 'm'},
                                 {"require-sandbox", no_argument, nullptr, 's'},
                                 {"version", no_argument, nullptr, 'v'},
                                 {"help", no_argument, nullptr, 'h'},
                                 {nullptr, 0, nullptr, 0}};
  for (int flag; (flag = getopt_long(argc, argv, "h", flags, nullptr)) != -1;) {
    switch (flag) {
      case 'r':
        if (auto root = pibrain::readExactPath(optarg)) {
          options.root = *root;
          break;
        }
        fputs("pi-brain-agent: --root=bytes: must have a percent-encoded path behind it.\n",
              stderr);
        return EXIT_USAGE;
      case 'a':
        options.publicKey = optarg;
        break;
      case 'f':
        options.from = optarg;
        break;
      case 'x':
        if (!takeExclude(optarg, options)) return EXIT_USAGE;
        break;
      case 'm':
        options.memoryLimit = parseMemoryLimit(optarg);
        if (options.memoryLimit > 0) break;
        fprintf(stderr, "pi-brain-agent: --memory-limit takes a number of MiB from %u to %u.\n",
                MIN_MEMORY, MAX_MEMORY);
        return EXIT_USAGE;
      case 's':
        options.requireSandbox = true;
        break;
      case 'v':
        puts("pi-brain-agent " PIBRAIN_VERSION);
        return 0;
      case 'h':
        fputs(HELP, stdout);
        return 0;
      default:
        fputs("Try 'pi-brain-agent --help'.\n", stderr);
        return EXIT_USAGE;
    }
  }
  if (optind < argc) {
    fprintf(stderr, "pi-brain-agent: unexpected argument '%s'. Try --help.\n", argv[optind]);
    return EXIT_USAGE;
  }
  bool serving = options.publicKey.empty();
  if (serving && (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO))) {
    fputs(HELP, stdout);
    return 0;
  }
  KJ_IF_MAYBE(e, kj::runCatchingExceptions(
                     [&]() { serving ? serveStdio(options) : printAuthorizedKeysLine(options); })) {
    return fail(*e);
  }
  return 0;
}
