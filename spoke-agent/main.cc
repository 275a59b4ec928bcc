// pi-brain-agent: the program that sshd starts on a spoke. It reads beneath one directory, and does
// nothing else.

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
#include "spoke-agent/watch/marks.h"

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
                what is neither listed nor read: '*.tmp' or 'node_modules/' in every
                directory, '/work/old' at one place, similar to gitignore(5); may be
                given several times, and as bytes:… too
  --memory-limit=MIB
                the most memory the agent may use, in MiB of address space (default 512)
  --require-sandbox
                do not serve if the kernel cannot confine the agent (Landlock, seccomp)
  --authorized-keys-line KEY.pub
                print the line for ~/.ssh/authorized_keys that lets this key start
                the agent and nothing else: no shell, no forwarding, no terminal
                (-: the key comes on standard input)
  --from=PATTERNS
                in that line: accept the key only from these addresses, as in sshd(8):
                192.0.2.0/24,…
  --version     print the version
  --help        print this help

The agent speaks a binary protocol on standard input and output, so do not start it by
hand: sshd starts it when the hub connects. To make this machine a spoke:

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

// Returns the text of a small file. "-" is standard input: /dev/stdin would need a /proc.
std::string readText(const std::string& path) {
  FILE* file = path == "-" ? stdin : fopen(path.c_str(), "re");
  if (file == nullptr) pibrain::throwErrno(errno, "cannot open " + path);
  KJ_DEFER(fclose(file));
  char buffer[32768];
  return std::string(buffer, fread(buffer, 1, sizeof(buffer), file));
}

// Returns $HOME without symlinks, to be compared with ownProgram(); empty if it does not exist.
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

// Takes a pattern, or prints why it is not valid and returns false: what is meant to be left out
// must not be served.
bool takeExclude(const char* text, Options& options) {
  auto pattern = pibrain::readExactPath(text);
  std::optional<std::string> why;
  if (!pattern) {
    why = "bytes: must be followed by a percent-encoded pattern";
  } else if (options.exclude.size() == pibrain::Exclusions::MAX_PATTERNS) {
    why = "there are more than 100 of them";
  } else {
    why = pibrain::Exclusions::whyNot(*pattern);
  }
  if (!why) return options.exclude.push_back(*pattern), true;
  fprintf(stderr, "pi-brain-agent: --exclude=%s: %s.\n", text, why->c_str());
  return false;
}

// Returns 0 if it is not a number, or out of bounds.
uint64_t parseMemoryLimit(const char* text) {
  char* end = nullptr;
  unsigned long long number = strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0' && number >= MIN_MEMORY &&
                 number <= MAX_MEMORY
             ? number
             : 0;
}

// A spoke may have little memory: large blocks return to the system as soon as they are free, and
// the threads of a walk share one heap.
void saveMemory() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
  mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

[[noreturn]] void refuseToServe(const pibrain::Sandbox& sandbox) {
  kj::throwFatalException(kj::Exception(
      kj::Exception::Type::FAILED, __FILE__, __LINE__,
      kj::str("this machine cannot fully confine the agent (", sandbox.describe().c_str(),
              "), and --require-sandbox is given. Landlock needs Linux 5.13 or later. Without "
              "--require-sandbox, the agent serves with what the kernel has.")));
}

// Exits, since an exception could meet a destructor.
void endWithoutMemory() {
  constexpr char WORDS[] =
      "pi-brain-agent: memory limit reached; raise it with --memory-limit=MIB\n";
  [[maybe_unused]] ssize_t said = write(STDERR_FILENO, WORDS, sizeof(WORDS) - 1);
  _exit(1);
}

void serveStdio(const Options& options) {
  std::set_new_handler(endWithoutMemory);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // standard error may be a file, and files must not grow
  saveMemory();
  // Descriptors that the parent left open.
  close_range(STDERR_FILENO + 1, ~0u, 0);
  auto root =
      kj::refcounted<pibrain::DirectoryTree>(options.root, pibrain::Exclusions(options.exclude));
  auto group = pibrain::Marks::openGroup();
  auto sandbox = pibrain::enterSandbox(root->fd(), options.memoryLimit << 20);
  if (options.requireSandbox && !sandbox.whole()) refuseToServe(sandbox);
#ifdef PIBRAIN_ESCAPE_HOOK
  tryToEscape();
#endif
  // The hub will ask for a scan, but its request takes a round trip.
  root->prefetchScan();
  pibrain::initLibrsync();
  kj::UnixEventPort port;
  kj::EventLoop loop(port);
  kj::WaitScope waitScope(loop);
  pibrain::endAfterHangUp();
  auto stream = pibrain::takeStdio(port);
  auto watching = kj::refcounted<pibrain::Watching>(port, kj::mv(group));
  watching->unheard = []() { _exit(0); };
  pibrain::serve(
      *stream,
      pibrain::makeSpoke(kj::mv(root), sandbox.describe(), !sandbox.whole(), kj::mv(watching)),
      waitScope);
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
        fputs("pi-brain-agent: --root=bytes: must be followed by a percent-encoded path.\n",
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
        fprintf(stderr, "pi-brain-agent: --memory-limit must be a number of MiB from %u to %u.\n",
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
    fprintf(stderr, "pi-brain-agent: unexpected argument '%s'. Try 'pi-brain-agent --help'.\n",
            argv[optind]);
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
