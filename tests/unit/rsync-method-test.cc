// sync_method: rsync: which arguments are refused, how rsync's output is parsed, and what happens
// to the files that it replaced. tests/e2e/test_rsync.py runs the real rsync.

#include <gtest/gtest.h>

#include "hub/config/rsync-arguments.h"
#include "hub/rsync/folding.h"
#include "hub/rsync/output.h"
#include "hub/rsync/process.h"
#include "hub/rsync/replaced.h"
#include "hub/rsync/room.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

TEST(RsyncArguments, argumentsNotKnownToBeHarmlessAreRefused) {
  for (auto argument : {"-e",
                        "-essh",
                        "-e ssh",
                        "-ave",
                        "-zve/bin/sh",
                        "--rsh",
                        "--rsh=sh",
                        "--rs=sh",
                        "--rsync-path=x",
                        "--rsync-p",
                        "-M",
                        "-M--daemon",
                        "-avM--x",
                        "--remote-option=x",
                        "--remote",
                        "--rem=x",
                        "--daemon",
                        "--daem",
                        "--config=x",
                        "--dparam=x",
                        "--server",
                        "--serv",
                        "--sender",
                        "--remove-source-files",
                        "--remove-s",
                        "--write-devices",
                        "--ignore-errors",
                        "--force",
                        "--",
                        "",
                        "--r",
                        "--s=x",
                        "-",
                        "--delete",
                        "--del",
                        "--delete-excluded",
                        "-q",
                        "--quiet",
                        "--stderr=all",
                        "--info=none",
                        "--append",
                        "--append-verify",
                        "--inplace",
                        "-a",
                        "-av",
                        "--chmod=F644",
                        "-L",
                        "-l",
                        "-k",
                        "-n",
                        "--list-only",
                        "--help",
                        "--version",
                        "-V",
                        "--write-batch=x",
                        "--only-write-batch=x",
                        "--log-file=x",
                        "-T/tmp",
                        "--temp-dir=x",
                        "--link-dest=x",
                        "--compare-dest=x",
                        "--suffix=x",
                        "--files-from=-",
                        "--iconv=.",
                        "-R",
                        "-b",
                        "--trust-sender",
                        "--copy-as=x",
                        "--timeout=1",
                        "/etc/",
                        "host:/etc/",
                        "--verbose=x"}) {
    EXPECT_TRUE(refusedForRsync({argument})) << argument;
  }
  EXPECT_EQ(refusedForRsync({"-v", "--exclude=x", "-e", "sh"})->index, 2u);
  EXPECT_EQ(refusedForRsync({"--exclude", "a", "/etc/"})->index, 2u);
  EXPECT_EQ(refusedForRsync({"-v", "--exclude"})->why, "Its value is missing.");
}

TEST(RsyncArguments, usualArgumentsAreAccepted) {
  std::vector<std::string> usual{"-v",
                                 "-vP",
                                 "--exclude=*.tmp",
                                 "--exclude",
                                 "*.tmp",
                                 "--bwlimit=5",
                                 "--no-compress",
                                 "--checksum",
                                 "--size-only",
                                 "--skip-compress=jsonl",
                                 "-f- *.tmp/e",
                                 "-f",
                                 "- x",
                                 "-B700",
                                 "--max-size=1g",
                                 "--exclude",
                                 "-e sh",
                                 "-vf",
                                 "-x",
                                 "-4"};
  EXPECT_FALSE(refusedForRsync(usual));
}

RsyncOutput outputOf(std::initializer_list<const char*> lines) {
  RsyncOutput output;
  for (auto line : lines) output.line(line);
  return output;
}

TEST(RsyncOutput, items) {
  auto output = outputOf({"cd+++++++++ 4096 d/", ">f+++++++++ 3 d/x y", ">f.st...... 12 grown",
                          ">f..t...... 5 same", ">fc.t...... 5 checked", ">fc........ 5 rotten",
                          ".f..t...... 7 touched", ".f...p..... 7 mode", ".d..t...... 60 ./",
                          "*deleting   0 gone", "*deleting   0 dir/", "cL+++++++++ 1 link -> x",
                          "hf+++++++++ 0 hard => x", "sending incremental file list", "",
                          ">f+++++++++", ">f+++++++++ x y"});
  std::vector<std::string> items;
  for (auto& item : output.items()) {
    items.push_back(std::to_string(int(item.kind)) + " " + item.path + " " +
                    std::to_string(item.size) + (item.unlike ? "" : " alike"));
  }
  EXPECT_EQ(items, (std::vector<std::string>{"0 d/x y 3 alike", "1 grown 12", "1 same 5",
                                             "1 checked 5", "1 rotten 5 alike", "2 touched 7 alike",
                                             "3 gone 0 alike", "0 hard => x 0 alike"}));
}

TEST(RsyncOutput, progress) {
  auto output = outputOf({"     524288  12%  500.00kB/s    0:00:07  "});
  EXPECT_EQ(output.bytesDone, 524288u);
  EXPECT_EQ(output.entries, 0u);
  output.line("    1048576  25%    1.33GB/s    0:00:00 (xfr#1, ir-chk=1002/1004)");
  EXPECT_EQ(output.bytesDone, 1048576u);
  EXPECT_EQ(output.entries, 0u) << "rsync still finds more";
  output.line("    2097152  50%    1.33GB/s    0:00:00 (xfr#2, to-chk=2/1004)");
  EXPECT_EQ(output.entries, 1004u);
  EXPECT_EQ(output.entriesDone, 1002u);
  output.line("    2097152  50%    1.33GB/s    0:00:00 (xfr#2, to-chk=0/1004)");
  EXPECT_EQ(output.entriesDone, 1002u) << "said when the list is whole";
  output.line("    3097152  99%    1.33GB/s    0:00:00 (xfr#3, to-chk=9/4)");
  EXPECT_EQ(output.entriesDone, 1002u) << "nonsense";
  output.line(">f+++++++++ 2 5  5% (xfr#2, to-chk=0/7)");
  EXPECT_EQ(output.bytesDone, 3097152u) << "a name";
}

TEST(RsyncOutput, numbers) {
  auto output =
      outputOf({"Number of files: 1234 (reg: 1200, dir: 34)", "Number of created files: 3 (reg: 2)",
                "Literal data: 77 bytes", "Matched data: 5 bytes", "Total bytes sent: 100",
                "Total bytes received: 2000", "skipping non-regular file \"p\""});
  EXPECT_EQ(output.files, 1200u);
  EXPECT_EQ(output.bytesLiteral, 77u);
  EXPECT_EQ(output.bytesSent, 100u);
  EXPECT_EQ(output.bytesReceived, 2000u);
  EXPECT_EQ(output.skipped, 1u);
  EXPECT_EQ(outputOf({"Number of files: 1 (dir: 1)"}).files, 0u);
}

TEST(RsyncOutput, names) {
  EXPECT_EQ(unescapeRsync("n\\#012l"), "n\nl");
  EXPECT_EQ(unescapeRsync("\\#134#012"), "\\#012");
  EXPECT_EQ(unescapeRsync("\\#01"), "\\#01");
  EXPECT_EQ(unescapeRsync("plain \\ text"), "plain \\ text");
}

// Returns what a run reads from the message: the path and the reason, or "(none)".
std::string unwritten(const std::string& errors, int exitStatus = 11) {
  RsyncRun run;
  run.errors = errors;
  run.exitStatus = exitStatus;
  auto found = unwrittenFile(run, "/the mirror");
  return found ? found->path + ": " + found->why : "(none)";
}

TEST(UnwrittenFile, isNamed) {
  EXPECT_EQ(unwritten("noise\n"
                      "rsync: [receiver] write failed on \"/the mirror/p/a.jsonl\": File too large "
                      "(27)\n"
                      "rsync error: error in file IO (code 11) at receiver.c(380)\n"),
            "p/a.jsonl: File too large (27)");
  EXPECT_EQ(unwritten("write failed on \"/the mirror/n\\#012\": x\": No space left on device (28)"),
            "n\n\": x: No space left on device (28)");
}

TEST(UnwrittenFile, isNotNamedByOtherMessages) {
  std::string error = "write failed on \"/the mirror/a\": File too large (27)\n";
  EXPECT_NE(unwritten(error), "(none)");
  EXPECT_EQ(unwritten(error, 23), "(none)");
  EXPECT_EQ(unwritten("write failed on \"/the mirror2/a\": File too large (27)\n"), "(none)");
  EXPECT_EQ(unwritten("write failed on \""), "(none)");
  EXPECT_EQ(unwritten("write failed on \"\": "), "(none)");
  EXPECT_EQ(unwritten(""), "(none)");
}

TEST(DropGrown, keepsFilesThatTheMirrorDoesNotBeginWith) {
  TempDir dir;
  auto make = [&](const std::string& name, const std::string& old, const std::string& now) {
    dir.write("replaced/" + name, old);
    if (!now.empty()) dir.write("mirror/" + name, now);
  };
  make("grew/deep/a", "1\n", "1\n2\n");
  make("touched/b", "1\n", "1\n");
  make("d/rewritten", "1\n2\n", "1\n3\n");
  make("d/cut", "1\n2\n", "1\n");
  make("d/gone", "1\n", "");
  EXPECT_EQ(dropGrown(dir / "replaced", dir / "mirror"),
            (std::unordered_set<std::string>{"d/rewritten", "d/cut", "d/gone"}));
  EXPECT_FALSE(dir.exists("replaced/grew"));
  EXPECT_FALSE(dir.exists("replaced/touched"));
  EXPECT_EQ(dir.read("replaced/d/rewritten"), "1\n2\n");
  EXPECT_EQ(dir.read("replaced/d/cut"), "1\n2\n");
  EXPECT_EQ(dir.read("replaced/d/gone"), "1\n");
  EXPECT_TRUE(dropGrown(dir / "missing", dir / "mirror").empty());
}

TEST(RsyncRoom, filesThatCannotFitAreLeftOutAtOnce) {
  using Paths = std::vector<std::string>;
  std::vector<PendingFile> pending{{"d", 50'000}, {"a", 10'000'000}, {"b", 100}, {"c", 60'000}};
  Unwritten full{"a", "No space left on device (28)", ENOSPC},
      large{"c", "File too large (27)", EFBIG};
  EXPECT_EQ(withoutRoom(pending, full, {1'000'000}), Paths{"a"});
  EXPECT_EQ(withoutRoom(pending, full, {100'000}), (Paths{"c", "a"})) << "the smaller first";
  EXPECT_EQ(withoutRoom(pending, full, {0}), (Paths{"b", "d", "c", "a"}));
  EXPECT_EQ(withoutRoom(pending, large, {}), (Paths{"c", "a"})) << "and all that is larger";
  EXPECT_EQ(withoutRoom(pending, large, {UINT64_MAX, 50'000}), (Paths{"c", "a"}));
  EXPECT_EQ(withoutRoom(pending, large, {UINT64_MAX, 49'999}), (Paths{"d", "c", "a"}));
  EXPECT_EQ(withoutRoom(pending, {"b", "Input/output error (5)", EIO}, {0}), Paths{"b"});
  EXPECT_EQ(withoutRoom({{"x", UINT64_MAX}}, full, {UINT64_MAX}), Paths{"x"});
}

TEST(RsyncFolding, namesThatFoldIntoOne) {
  auto byCase = [](auto& names) { return foldedNames(names, -1); };
  using Pairs = std::map<std::string, std::string>;
  auto found = findFolding({"p/A", "p/a", "p/b"}, {}, byCase);
  EXPECT_EQ(found.refused, (Pairs{{"p/a", "p/A"}}));
  EXPECT_TRUE(found.respelled.empty());
  found = findFolding({"p/A", "p/a", "p/b"}, {"p/a"}, byCase);
  EXPECT_EQ(found.refused, (Pairs{{"p/A", "p/a"}})) << "what the mirror has stays";
  found = findFolding({"P/x/1", "p/x/1", "p/y", "q"}, {}, byCase);
  EXPECT_EQ(found.refused, (Pairs{{"p/x/1", "P/x/1"}, {"p/y", "P/y"}}));
  found = findFolding({"New/Name", "new2"}, {"new/name", "NEW2", "other"}, byCase);
  EXPECT_TRUE(found.refused.empty());
  EXPECT_EQ(found.respelled, (Pairs{{"new/name", "New/Name"}, {"NEW2", "new2"}}));
}

TEST(RsyncFolding, namesBeyondAsciiAreTried) {
  TempDir dir;
  {
    ScratchDirectory scratch(dir / "staging");
    EXPECT_TRUE(foldedNames({"\xc3\xa4", "\xc3\x84", "a", "A"}, scratch.fd()).empty())
        << "this filesystem tells them apart";
  }
  EXPECT_NE(access((dir / "staging").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace pibrain
