// Lies in the answers to hello and scan.

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "common/wire/protocol.h"
#include "tests/e2e/hostile/script.h"

namespace hostile {

namespace {

using State = proto::Summary::State;

const std::string ESCAPES =
    "\x1b]0;owned\x07\x1b[31mred\x1b[0m\r\n\x7f\xc2\x9b"
    "1mC1\xff"
    // Not UTF-8: overlong, a surrogate, beyond U+10FFFF.
    "\xc0\xaf\xe0\x80\xaf\xed\xa0\x80\xf4\x90\x80\x80";

Script listed(std::function<Blocks()> listing) {
  Script script;
  script.listing = std::move(listing);
  return script;
}

Script named(std::string name) {
  return listed([=]() { return listingOf("p", {{name}}); });
}

Script inDirectory(std::string path) {
  return listed([=]() { return listingOf(path, {{"new.jsonl"}}); });
}

Script sized(uint64_t size) {
  return listed([=]() { return listingOf("p", {{"new.jsonl", size}}); });
}

Script helloing(std::function<void(proto::Peer::Builder)> hello) {
  Script script;
  script.hello = std::move(hello);
  return script;
}

Script saying(std::vector<Fill> fills) {
  return listed([=]() { return events(fills); });
}

void addNames(Scripts& all) {
  std::map<std::string, std::string> bad = {{"dotdot", ".."},
                                            {"dot", "."},
                                            {"empty", ""},
                                            {"slash", "a/b"},
                                            {"climbing", "../../x"},
                                            {"absolute", "/tmp/pi-brain-hostile"},
                                            {"nul", std::string("a\0b", 3)},
                                            {"256", std::string(256, 'n')},
                                            {"64k", std::string(65536, 'n')},
                                            {"64k-escapes", std::string(65536, '\x1b')}};
  for (auto& [what, name] : bad) {
    all["name-" + what] = [name = name]() { return named(name); };
    if (what == "empty" || what == "slash")
      continue;  // as a path, this is the root, which is valid
    all["path-" + what] = [name = name]() { return inDirectory(name); };
    all["path-within-" + what] = [name = name]() { return inDirectory("p/" + name + "/q"); };
  }
  all["path-double-slash"] = []() { return inDirectory("p//q"); };
  all["path-trailing-slash"] = []() { return inDirectory("p/"); };
  all["path-too-deep"] = []() {
    std::string path = "d";
    while (path.size() < 2 * 500) path += "/d";
    return inDirectory(path);
  };
  all["staging-file"] = []() {
    return listed([]() { return listingOf("", {{".pi-brain-staging"}}); });
  };
  all["staging-directory"] = []() { return inDirectory(".pi-brain-staging"); };
  all["duplicates"] = []() {
    return listed([]() { return listingOf("p", {{"new.jsonl"}, {"new.jsonl"}}); });
  };
  // What a filesystem cannot hold: a file and a directory of one name.
  all["file-and-directory"] = []() {
    return saying(
        {summary(2), directory("p", {{"new.jsonl"}}), directory("p/new.jsonl", {{"x.jsonl"}}, 1)});
  };
  all["file-for-directory"] = []() { return listed([]() { return listingOf("", {{"p"}}); }); };
}

void addLegal(Scripts& all) {
  all["legal-escapes"] = []() {
    return listed([]() { return listingOf("p" + ESCAPES, {{ESCAPES}, {"\xe2\x80\xaegnp.exe"}}); });
  };
  all["legal-case-pairs"] = []() {
    return listed([]() { return listingOf("p", {{"New.jsonl"}, {"new.jsonl"}, {"NEW.JSONL"}}); });
  };
  all["legal-times"] = []() {
    return listed([]() {
      return listingOf("p", {{"a-new.jsonl", 16, INT64_MIN},
                             {"b-new.jsonl", 16, INT64_MAX},
                             {"c-new.jsonl", 16, -1}});
    });
  };
  all["legal-clock-1970"] = []() { return helloing([](auto peer) { peer.setClock(0); }); };
  all["legal-clock-first"] = []() { return helloing([](auto peer) { peer.setClock(INT64_MIN); }); };
  all["legal-clock-last"] = []() { return helloing([](auto peer) { peer.setClock(INT64_MAX); }); };
  all["legal-root-escapes"] = []() {
    return helloing([](auto peer) {
      peer.setRoot("/" + ESCAPES);
      peer.setHost(ESCAPES);
      peer.setSandbox(ESCAPES);
      peer.setVersion(ESCAPES);
    });
  };
  // Close to the largest size that the hub accepts.
  all["legal-many"] = []() {
    constexpr uint32_t COUNT = 330'000, AT_ONCE = 1000;
    auto script = listed([]() {
      Fills fills{summary(COUNT)};
      for (uint32_t first = 0; first < COUNT; first += AT_ONCE) {
        fills.push_back([first](proto::Event::Builder event) {
          std::vector<Item> items;
          for (uint32_t i = first; i < first + AT_ONCE; ++i) {
            items.push_back({std::string(70, 'n') + std::to_string(i)});
          }
          directory("p", items, first)(event);
        });
      }
      return events(fills);
    });
    script.pull = [](const std::vector<Asked>& wants) {
      Fills fills;
      for (auto& want : wants) fills.push_back(refused(want.file, proto::Reason::VANISHED));
      return events(fills);
    };
    return script;
  };
  all["legal-same"] = []() { return saying({summary(7, State::SAME)}); };
  all["legal-problem-escapes"] = []() {
    return saying({summary(0), [](proto::Event::Builder event) {
                     event.initProblem().setPath(dataOf(ESCAPES));
                     event.getProblem().setReason(proto::Reason::DENIED);
                   }});
  };
}

void addDeletions(Scripts& all) {
  all["delete-all"] = []() {
    auto script = saying({summary(0), [](proto::Event::Builder event) {
                            event.initUnseen(2).set(0, 0);
                            event.getUnseen().set(1, 1);
                          }});
    return script;
  };
  // The spoke has no files, whatever it claims.
  all["delete-all-uncounted"] = []() {
    return saying({summary(1000), [](proto::Event::Builder event) {
                     event.initUnseen(2).set(0, 0);
                     event.getUnseen().set(1, 1);
                   }});
  };
  all["delete-most"] = []() {
    return saying({summary(1),
                   [](proto::Event::Builder event) {
                     event.initUnseen(2).set(0, 0);
                     event.getUnseen().set(1, 1);
                   },
                   directory("p", {{"new.jsonl"}})});
  };
}

Fill unseen(std::vector<uint32_t> indexes) {
  return [=](proto::Event::Builder event) {
    auto list = event.initUnseen(uint32_t(indexes.size()));
    for (uint32_t i = 0; i < list.size(); ++i) list.set(i, indexes[i]);
  };
}

Fill problem(std::string path) {
  return [=](proto::Event::Builder event) {
    event.initProblem().setPath(dataOf(path));
    event.getProblem().setReason(proto::Reason::DENIED);
  };
}

Fill fingerprints(uint32_t first, uint32_t count) {
  return [=](proto::Event::Builder event) {
    auto out = event.initDirectory();
    out.setPath(dataOf("p"));
    out.setFirstFile(first);
    auto list = out.initFingerprints(count);
    for (uint32_t i = 0; i < count; ++i) list.set(i, first + i + 1);
  };
}

Fill entry(uint32_t file, std::string name = "new.jsonl") {
  return [=](proto::Event::Builder event) {
    auto out = event.initEntry();
    out.setFile(file);
    out.initEntry().setName(dataOf(name));
  };
}

// A file that the hub has never seen, by its fingerprint, and the answer when the hub asks for its
// name.
Script describing(std::function<Blocks()> describe) {
  auto script = saying({summary(1), fingerprints(0, 1)});
  script.describe = std::move(describe);
  return script;
}

void addDescriptions(Scripts& all) {
  auto add = [&](const char* name, std::vector<Fill> fills) {
    all[name] = [=]() { return describing([=]() { return events(fills); }); };
  };
  add("described-not", {});
  add("described-twice", {entry(0), entry(0)});
  add("described-another", {entry(7)});
  add("described-climbing", {entry(0, "../../x")});
  add("described-by-a-summary", {summary(1)});
  add("described-by-more", {fingerprints(1, 1)});
  add("described-with-content", {data("x", "x")});
  all["described-garbage"] = []() { return describing([]() { return bytes("garbage"); }); };
  all["described-empty-blocks"] = []() { return describing([]() { return emptyBlocks(); }); };
  all["described-stalling"] = []() { return describing([]() { return stalling({entry(0)}); }); };
}

void addOdd(Scripts& all) {
  all["listing-without-summary"] = []() { return saying({directory("p", {{"new.jsonl"}})}); };
  all["listing-nothing"] = []() { return listed([]() { return bytes(""); }); };
  all["summary-twice"] = []() { return saying({summary(1), summary(1)}); };
  all["state-unknown"] = []() { return saying({summary(0, State(9))}); };
  all["differs-always"] = []() { return saying({summary(1, State::DIFFERS)}); };
  all["more-than-announced"] = []() {
    return saying({summary(1), directory("p", {{"new.jsonl"}, {"x.jsonl"}})});
  };
  all["listing-with-content"] = []() { return saying({summary(1), data("x", "x")}); };
  all["unseen-beyond"] = []() { return saying({summary(0), unseen({9})}); };
  all["unseen-twice"] = []() { return saying({summary(0), unseen({1, 1})}); };
  all["entry-not-asked"] = []() {
    return saying({summary(1), [](proto::Event::Builder event) { event.initEntry().setFile(3); }});
  };
  all["entries-without-fingerprints"] = []() {
    return saying(
        {summary(9), [](proto::Event::Builder event) { event.initDirectory().initEntries(3); }});
  };
  all["ids-twice"] = []() {
    return saying(
        {summary(2), directory("p", {{"new.jsonl"}}, 5), directory("q", {{"new.jsonl"}}, 5)});
  };
  all["size-minus-one"] = []() { return sized(UINT64_MAX); };
  all["size-2-63"] = []() { return sized(uint64_t(1) << 63); };
  all["legal-size-announced-large"] = []() { return sized(INT64_MAX); };
  all["legal-size-announced-0"] = []() { return sized(0); };
  for (auto* call : {"hello", "scan", "next", "describe", "pull"}) {
    all["throws-at-" + std::string(call)] = [=]() {
      auto script = call == std::string("describe") ? describing(nullptr) : Script();
      script.throwing = call;
      while (script.text.size() < 300'000) script.text += ESCAPES;
      return script;
    };
    all["mute-at-" + std::string(call)] = [=]() {
      auto script = call == std::string("describe") ? describing(nullptr) : Script();
      script.mute = call;
      return script;
    };
  }
  // Errors that only this machine may report: that its disk is full, and by how much.
  for (auto& [what, type] : std::map<std::string, kj::Exception::Type>{
           {"full", kj::Exception::Type::OVERLOADED}, {"failing", kj::Exception::Type::FAILED}}) {
    all["throws-disk-" + what] = [type = type]() {
      Script script;
      script.throwing = "scan";
      script.type = type;
      script.text = std::string(900'000, 'x') + ": " +
                    strerror(type == kj::Exception::Type::OVERLOADED ? ENOSPC : EIO);
      return script;
    };
  }
  all["problem-no-path"] = []() { return saying({summary(0), problem("../x")}); };
  // The longest possible path: of an unreadable directory, of a file, and of a refused file.
  auto longest = [](size_t components) {
    std::string path(250, 'd');
    for (size_t i = 1; i < components; ++i) path += "/" + std::string(250, 'd');
    return path;
  };
  all["problem-long"] = [=]() {
    return saying({summary(0, State::LISTED, false), problem(longest(400))});
  };
  all["refused-long"] = [=]() {
    auto script = inDirectory(longest(399));
    script.pull = [](const std::vector<Asked>& wants) { return events({refused(wants[0].file)}); };
    return script;
  };
  all["hello-megabytes"] = []() {
    return helloing([](auto peer) {
      peer.setRoot(std::string(900'000, '\x1b'));
      peer.setVersion(std::string(900'000, '\x1b'));
    });
  };
  all["hello-megabytes-too-old"] = []() {
    return helloing([](auto peer) {
      peer.setProtocol(0);
      peer.setVersion(std::string(900'000, '\x1b'));
    });
  };
  all["hello-root-denied"] = []() {
    return helloing([](auto peer) {
      peer.setRootState(proto::RootState::DENIED);
      peer.setRoot("/" + ESCAPES);
    });
  };
}

void addEndless(Scripts& all) {
  all["million-entries"] = []() {
    return listed([]() {
      return endless({summary(1'000'000)}, [first = uint32_t(0)]() mutable {
        std::vector<Item> items;
        for (uint32_t i = 0; i < 1000; ++i) items.push_back({std::to_string(first + i) + ".jsonl"});
        first += 1000;
        return directory("p", items, first - 1000);
      });
    });
  };
  all["endless-entries"] = []() {
    return listed([]() {
      return endless({summary(UINT32_MAX)}, [first = uint32_t(0)]() mutable {
        ++first;
        return directory("p", {{std::to_string(first)}}, first);
      });
    });
  };
  all["endless-long-paths"] = []() {
    return listed([]() {
      std::string path(255, 'd');
      while (path.size() < 255 * 390) path += "/" + std::string(255, 'd');
      return endless({summary(UINT32_MAX)}, [path, first = uint32_t(0)]() mutable {
        ++first;
        return directory(path + "/" + std::to_string(first), {{"x"}}, first);
      });
    });
  };
  all["endless-fingerprints"] = []() {
    return listed([]() {
      return endless({summary(UINT32_MAX)}, [first = uint32_t(0)]() mutable {
        first += 1000;
        return fingerprints(first, 1000);
      });
    });
  };
  all["endless-reserved"] = []() {
    return listed([]() {
      return endless({summary(UINT32_MAX)}, [first = uint32_t(0)]() mutable {
        ++first;
        return directory(".pi-brain-staging", {{std::string(250, 'r')}}, first);
      });
    });
  };
  all["endless-problems"] = []() {
    return listed([]() { return endless({summary(1)}, []() { return problem("x"); }); });
  };
  all["endless-large-problems"] = []() {
    return listed([]() {
      std::string path(250, 'd');
      for (int i = 1; i < 400; ++i) path += "/" + std::string(250, 'd');
      return endless({summary(1)}, [path]() { return problem(path); });
    });
  };
  all["endless-unseen"] = []() {
    return listed([]() { return endless({summary(1)}, []() { return unseen({0}); }); });
  };
  all["endless-empty-unseen"] = []() {
    return listed([]() { return endless({summary(1)}, []() { return unseen({}); }); });
  };
  all["endless-empty-directories"] = []() {
    return listed([]() { return endless({summary(1)}, []() { return directory("p", {}); }); });
  };
  all["endless-empty-blocks"] = []() { return listed([]() { return emptyBlocks(); }); };
  // Each is small, and arrives within the idle limit.
  all["dribbling-entries"] = []() {
    auto script = listed([]() {
      return singly({summary(UINT32_MAX)}, [first = uint32_t(0)]() mutable {
        ++first;
        return directory("p", {{std::to_string(first)}}, first);
      });
    });
    script.dribbling = true;
    return script;
  };
  all["stalling-listing"] = []() { return listed([]() { return stalling({summary(1)}); }); };
}

}  // namespace

Scripts listingScripts() {
  Scripts all;
  addNames(all);
  addLegal(all);
  addDeletions(all);
  addDescriptions(all);
  addOdd(all);
  addEndless(all);
  return all;
}

}  // namespace hostile
