// pi-brain: the hub's command line.

#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>

#include "common/text/text.h"
#include "common/text/utf8.h"
#include "hub/base/subprocess.h"
#include "hub/cli/commands.h"

namespace {

using namespace pibrain;

// An empty one is a variable that somebody forgot to set.
std::string notEmpty(const std::string& value) {
  return value.empty() ? "it is empty; a path is needed" : "";
}

// What JSON says of a path that is no UTF-8 becomes that path again.
std::string takeExactPath(std::string& value) {
  auto path = readExactPath(value);
  if (!path) return "what stands behind 'bytes:' is no percent-encoded path";
  value = *path;
  return "";
}

void addPath(CLI::App* command, const std::string& name, std::string& path, const std::string& help,
             const std::string& type = "PATH") {
  command->add_option(name, path, help)
      ->type_name(type)
      ->transform(CLI::Validator(takeExactPath, ""))
      ->check(notEmpty);
}

void addConfig(CLI::App* command, std::string& config) {
  addPath(command, "-c,--config", config, "The config file (default ~/.pi-brain/config.yaml)");
}

void addSpokes(CLI::App* command, std::vector<std::string>& spokes) {
  command->add_option("-s,--spoke", spokes, "Only this spoke; may be given several times")
      ->type_name("NAME")
      ->transform(CLI::Validator(takeExactPath, ""))
      ->allow_extra_args(false);
}

void addRun(CLI::App* sync, RunArguments& run) {
  auto* command = sync->add_subcommand("run", "Bring the mirrors up to date");
  addConfig(command, run.config);
  addSpokes(command, run.spokes);
  command->add_flag("-n,--dry-run", run.dryRun, "Show what would be done, and do nothing");
  command->add_flag("--delete", run.deleteGone,
                    "Move files that are gone on the spoke to the archive");
  command
      ->add_option("--max-delete", run.maxDelete,
                   "Let --delete remove this many files (default: half of a mirror)")
      ->type_name("N")
      ->check(CLI::Range(uint64_t(1), uint64_t(UINT32_MAX)));
  command
      ->add_option("--bwlimit", run.bwLimit,
                   "Use at most this bandwidth for all spokes together, both ways (0: no limit)")
      ->type_name("KB/s")
      ->check(CLI::Range(uint32_t(0), uint32_t(100'000'000)));
  command->add_option("--jobs", run.jobs, "Sync this many spokes at a time (default 8)")
      ->type_name("N")
      ->check(CLI::Range(1u, 256u));
  command->add_flag("--due", run.due,
                    "Only the spokes whose schedule has come due since their last good run");
  auto* verbose = command->add_flag("-v,--verbose", run.verbose, "List the files that changed");
  command->add_flag("-q,--quiet", run.quiet, "Print only what failed")->excludes(verbose);
  addPath(command, "--log", run.log,
          "Append what is said to this file too, each line with its time; beyond 1 MB it is "
          "rotated, and three old ones are kept");
  command->add_flag("--json", run.json, "Print one JSON document instead of text");
}

void addStatus(CLI::App* sync, StatusArguments& status) {
  auto* command = sync->add_subcommand("status", "Show the hub, its spokes and their last sync");
  addConfig(command, status.config);
  auto* json = command->add_flag("--json", status.json, "Print one JSON document instead of text");
  command
      ->add_flag("--prometheus", status.prometheus,
                 "Print metrics for the node exporter's textfile collector instead of text")
      ->excludes(json);
}

void addHistory(CLI::App* sync, HistoryArguments& history) {
  auto* command = sync->add_subcommand("history", "Show what the latest runs did");
  addConfig(command, history.config);
  addSpokes(command, history.spokes);
  command->add_option("-n,--limit", history.limit, "Show so many runs (default 20)")
      ->type_name("N")
      ->check(CLI::Range(uint32_t(1), uint32_t(10'000'000)));
  command->add_flag("--json", history.json, "Print one JSON document instead of text");
}

void addList(CLI::App* sync, ListArguments& list) {
  auto* command = sync->add_subcommand("list", "List the sessions in the mirrors");
  addConfig(command, list.config);
  addSpokes(command, list.spokes);
  command->add_flag("-l,--long", list.absolute, "Show full paths");
  auto* json = command->add_flag("--json", list.json, "Print one JSON document instead of text");
  command->add_flag("--names", list.names, "Only the names of the spokes")->excludes(json);
}

void addTimer(CLI::App* sync, InstallTimerArguments& timer) {
  auto* command =
      sync->add_subcommand("install-timer", "Have systemd start a run now and then, for this user");
  addConfig(command, timer.config);
  command
      ->add_option("--every", timer.every,
                   "How often: 15min, 2h, 1d (default 15min; with --due, 1min)")
      ->type_name("SPAN");
  command->add_flag("--due", timer.due, "Run only the spokes whose schedule has come due");
  sync->add_subcommand("uninstall-timer", "Remove what install-timer put there");
}

void addDoctor(CLI::App* sync, DoctorArguments& doctor) {
  auto* command =
      sync->add_subcommand("doctor", "Check the way to each spoke, and say what is wrong");
  addConfig(command, doctor.config);
  addSpokes(command, doctor.spokes);
  command->add_flag("--json", doctor.json, "Print one JSON document instead of text");
}

void addArchive(CLI::App* sync, ArchiveListArguments& list, ArchiveRestoreArguments& restore) {
  auto* archive =
      sync->add_subcommand("archive", "What was there before a sync overwrote or deleted it");
  archive->require_subcommand(1);
  auto* listing = archive->add_subcommand("list", "List the files in the archive");
  addConfig(listing, list.config);
  addSpokes(listing, list.spokes);
  listing->add_flag("--json", list.json, "Print one JSON document instead of text");
  auto* restoring = archive->add_subcommand("restore", "Bring a file of the archive back");
  addConfig(restoring, restore.config);
  restoring->add_option("ID", restore.id, "From the list; its beginning will do");
  addPath(restoring, "--to", restore.to, "Where to put it (default: its place in the mirror)");
}

void addVerify(CLI::App* sync, VerifyArguments& verify) {
  auto* command =
      sync->add_subcommand("verify", "Compare the mirrors with the spokes by content hashes");
  addConfig(command, verify.config);
  addSpokes(command, verify.spokes);
  command->add_flag("--repair", verify.repair, "Fetch what differs");
  command->add_flag("--json", verify.json, "Print one JSON document instead of text");
}

void addManage(CLI::App* command, ManageArguments& manage, bool installs) {
  addConfig(command, manage.config);
  if (installs) {
    addPath(command, "--agents", manage.agents,
            "Where the agents are, one pi-brain-agent-ARCHITECTURE each", "DIR");
  }
  command->add_flag("--batch", manage.batch, "Ask for no password: fail instead");
  command->add_flag("-n,--dry-run", manage.dryRun, "Show what would be done, and do nothing");
  command->add_flag("--json", manage.json, "Print one JSON document instead of text");
}

void addVia(CLI::App* command, ManageArguments& manage) {
  command
      ->add_option("--via", manage.via,
                   "Your own login there (default: that of the spoke's source, without its key)")
      ->type_name("USER@HOST")
      ->check(notEmpty);
}

void addSpokeAdd(CLI::App* spoke, SpokeAddArguments& add) {
  auto* command =
      spoke->add_subcommand("add", "Make a machine a spoke, by your own ssh login there");
  command->add_option("NAME", add.name, "What to call it")->required();
  command->add_option("TARGET", add.target, "user@host, or a Host of ~/.ssh/config")
      ->required()
      ->check(notEmpty);
  addManage(command, add.manage, true);
  addPath(command, "--root", add.root, "Its sessions (default ~/.pi/agent/sessions)");
  addPath(command, "--path", add.path, "The mirror here (default ~/.pi-brain/synced/NAME)");
  addPath(command, "--key", add.key,
          "The key for syncing (default ~/.ssh/pi-brain-sync, made if missing)");
  command
      ->add_option("--from", add.from,
                   "Let the key in only from these addresses, as sshd(8) has them")
      ->type_name("CIDR")
      ->check(notEmpty);
}

void addSpokeUpgrade(CLI::App* spoke, SpokeUpgradeArguments& upgrade) {
  auto* command = spoke->add_subcommand("upgrade", "Put this version's agent on spokes");
  command->add_option("NAME", upgrade.names, "Which ones");
  command->add_flag("--all", upgrade.all, "All of them");
  addManage(command, upgrade.manage, true);
  addVia(command, upgrade.manage);
}

void addSpokeRotate(CLI::App* spoke, SpokeRotateArguments& rotate) {
  auto* command =
      spoke->add_subcommand("rotate-key", "Give a spoke a new key, and remove the old one");
  command->add_option("NAME", rotate.name, "Which one")->required();
  addManage(command, rotate.manage, true);
  addVia(command, rotate.manage);
}

void addSpokeRemove(CLI::App* spoke, SpokeRemoveArguments& remove) {
  auto* command =
      spoke->add_subcommand("remove", "Remove agent and key from a spoke, and it from here");
  command->add_option("NAME", remove.name, "Which one")->required();
  command->add_flag("--keep-mirror", remove.keepMirror,
                    "Leave the mirror where it is (default: it goes to the archive)");
  command->add_flag("--force", remove.force, "Even if the spoke cannot be reached");
  addManage(command, remove.manage, false);
  addVia(command, remove.manage);
}

void addSpokeList(CLI::App* spoke, SpokeListArguments& list) {
  auto* command =
      spoke->add_subcommand("list", "Show the spokes: agent's version, sandbox, last contact, key");
  addConfig(command, list.config);
  command->add_flag("--json", list.json, "Print one JSON document instead of text");
}

struct Arguments {
  RunArguments run;
  StatusArguments status;
  HistoryArguments history;
  ListArguments list;
  InstallTimerArguments installTimer;
  ArchiveListArguments archiveList;
  ArchiveRestoreArguments archiveRestore;
  VerifyArguments verify;
  DoctorArguments doctor;
  SpokeAddArguments spokeAdd;
  SpokeUpgradeArguments spokeUpgrade;
  SpokeRotateArguments spokeRotate;
  SpokeRemoveArguments spokeRemove;
  SpokeListArguments spokeList;
};

int dispatchSpoke(const CLI::App* spoke, const Arguments& arguments) {
  auto name = spoke->get_subcommands().front()->get_name();
  if (name == "add") return spokeAdd(arguments.spokeAdd);
  if (name == "upgrade") return spokeUpgrade(arguments.spokeUpgrade);
  if (name == "rotate-key") return spokeRotateKey(arguments.spokeRotate);
  if (name == "remove") return spokeRemove(arguments.spokeRemove);
  return spokeList(arguments.spokeList);
}

int dispatchSync(const CLI::App* sync, const Arguments& arguments) {
  auto* command = sync->get_subcommands().front();
  auto name = command->get_name();
  if (name == "run") return syncRun(arguments.run);
  if (name == "status") return syncStatus(arguments.status);
  if (name == "history") return syncHistory(arguments.history);
  if (name == "list") return syncList(arguments.list);
  if (name == "install-timer") return syncInstallTimer(arguments.installTimer);
  if (name == "uninstall-timer") return syncUninstallTimer();
  if (name == "verify") return syncVerify(arguments.verify);
  if (name == "doctor") return syncDoctor(arguments.doctor);
  if (command->get_subcommands().front()->get_name() == "list") {
    return syncArchiveList(arguments.archiveList);
  }
  return syncArchiveRestore(arguments.archiveRestore);
}

// Each spoke holds descriptors of its mirror's directories; the usual soft limit is for one.
void raiseDescriptorLimit() {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  settleProcess();
  raiseDescriptorLimit();
  // What this program makes holds secrets.
  umask(0077);
  // Blocks come and go by the thousand: let the allocator keep their pages.
  mallopt(M_MMAP_THRESHOLD, 16 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  killChildrenOnSignals();

  CLI::App app("pi-brain: keeps the pi sessions of all your machines on one");
  app.set_version_flag("--version", "pi-brain " PIBRAIN_VERSION);
  app.footer(
      "A PATH may be given as bytes:…, percent-encoded, as JSON has those that are no UTF-8.");
  app.require_subcommand(1);
  auto* sync = app.add_subcommand("sync", "Mirror sessions from other machines (spokes)");
  sync->require_subcommand(1);
  auto* spoke = app.add_subcommand("spoke", "Set up the machines that sessions come from");
  spoke->require_subcommand(1);
  Arguments arguments;
  addRun(sync, arguments.run);
  addStatus(sync, arguments.status);
  addHistory(sync, arguments.history);
  addList(sync, arguments.list);
  addTimer(sync, arguments.installTimer);
  addArchive(sync, arguments.archiveList, arguments.archiveRestore);
  addVerify(sync, arguments.verify);
  addDoctor(sync, arguments.doctor);
  addSpokeAdd(spoke, arguments.spokeAdd);
  addSpokeUpgrade(spoke, arguments.spokeUpgrade);
  addSpokeRotate(spoke, arguments.spokeRotate);
  addSpokeRemove(spoke, arguments.spokeRemove);
  addSpokeList(spoke, arguments.spokeList);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    auto* group = sync->parsed() ? sync : spoke->parsed() ? spoke : &app;
    auto unknown = group->remaining();
    if (group == &app && !unknown.empty() && (unknown[0] == "daemon" || unknown[0] == "query")) {
      fprintf(
          stderr,
          "pi-brain: '%s' is a command of pi-brain's analysis, which is another program; this one "
          "syncs: 'pi-brain sync --help'.\n",
          unknown[0].c_str());
      return EXIT_USAGE;
    }
    if (e.get_name() == "RequiredError" && !unknown.empty() && !unknown[0].starts_with('-')) {
      fprintf(stderr, "pi-brain: there is no command '%s%s'. '%s' lists what there is.\n",
              group == &app ? "" : (group->get_name() + " ").c_str(),
              escapeForTerminal(unknown[0]).c_str(),
              group == &app ? "pi-brain --help"
                            : ("pi-brain " + group->get_name() + " --help").c_str());
      return EXIT_USAGE;
    }
    return app.exit(e) == 0 ? EXIT_GOOD : EXIT_USAGE;
  }
  return sync->parsed() ? dispatchSync(sync, arguments) : dispatchSpoke(spoke, arguments);
}
