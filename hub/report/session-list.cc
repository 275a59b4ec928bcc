#include <capnp/message.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "common/fs/file-io.h"
#include "common/fs/rooted-dir.h"
#include "common/text/format.h"
#include "common/text/utf8.h"
#include "hub/mirror/contents.h"
#include "hub/report/documents.h"
#include "hub/report/json.h"

namespace pibrain {

namespace {

// How many bytes of a session are read. The first number is enough for most; the second is tried
// for a session that begins with a long message or a picture.
constexpr size_t BEGINNINGS[] = {8 << 10, 64 << 10};

std::optional<SessionStart> startOf(const RootedDir& mirror, const std::string& path,
                                    std::string& buffer) {
  auto opened = mirror.open(path, O_RDONLY);
  struct stat st;
  if (opened.error != 0 || fstat(opened.fd, &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  std::optional<SessionStart> start;
  // Reading throws if the disk fails.
  kj::runCatchingExceptions([&]() {
    for (size_t length : BEGINNINGS) {
      buffer.resize(length);
      auto bytes = kj::arrayPtr(reinterpret_cast<kj::byte*>(buffer.data()), length);
      size_t read = readAt(opened.fd, bytes, 0);
      start = readSessionStart(std::string_view(buffer).substr(0, read));
      if (!start->title.empty() || read < length) return;
    }
  });
  return start;
}

void readStarts(const std::string& mirror, std::vector<ListedSession>& sessions) {
  int fd = open(mirror.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  RootedDir root{kj::AutoCloseFd(fd)};
  std::string buffer;
  for (auto& session : sessions) session.start = startOf(root, session.path, buffer);
}

std::string lowered(std::string_view text) {
  std::string out(text);
  for (auto& c : out) {
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  }
  return out;
}

// Returns the text, in lower case, as it appears in the name that pi makes from a path: ~/code as
// -code, which is in --home-will-code--.
std::string asProject(const std::string& text) {
  auto name = lowered(text.starts_with("~/") ? text.substr(1) : text);
  for (auto& c : name) {
    if (c == '/' || c == '\\' || c == ':') c = '-';
  }
  return name;
}

}  // namespace

std::string_view projectOf(const ListedSession& session) {
  std::string_view path = session.path;
  auto slash = path.find('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::vector<SessionsOfSpoke> listSessions(const std::vector<const SpokeConfig*>& spokes,
                                          const SessionFilter& filter,
                                          const std::function<void(const std::string&)>& warn) {
  auto wanted = asProject(filter.project);
  std::vector<SessionsOfSpoke> all;
  for (auto* spoke : spokes) {
    auto contents = mirrorContents(spoke->path, warn);
    auto& listed = all.emplace_back(SessionsOfSpoke{spoke, {}, contents.sessions.size()});
    for (auto& session : contents.sessions) {
      ListedSession one{std::move(session.path), session.size, session.mtime, std::nullopt};
      if (one.mtime < filter.since) continue;
      if (!wanted.empty() && lowered(projectOf(one)).find(wanted) == std::string::npos) continue;
      listed.sessions.push_back(std::move(one));
    }
    std::stable_sort(listed.sessions.begin(), listed.sessions.end(),
                     [](auto& a, auto& b) { return a.mtime > b.mtime; });
    if (filter.starts) readStarts(spoke->path, listed.sessions);
  }
  return all;
}

std::string sessionListJson(const std::vector<SessionsOfSpoke>& all, bool fullPaths) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::SessionList>().initSpokes(uint32_t(all.size()));
  for (uint32_t i = 0; i < out.size(); ++i) {
    auto& of = all[i];
    out[i].setName(of.spoke->name.c_str());
    out[i].setSyncMethod(toString(of.spoke->method));
    out[i].setPath(toUtf8(of.spoke->path).c_str());
    out[i].setPathBytes(exactPath(of.spoke->path).c_str());
    out[i].setTotal(uint32_t(of.total));
    auto sessions = out[i].initSessions(uint32_t(of.sessions.size()));
    auto exact = out[i].initSessionsBytes(sessions.size());
    auto details = out[i].initDetails(sessions.size());
    for (uint32_t k = 0; k < sessions.size(); ++k) {
      auto& session = of.sessions[k];
      auto path = fullPaths ? of.spoke->path + "/" + session.path : session.path;
      sessions.set(k, toUtf8(path).c_str());
      exact.set(k, exactPath(path).c_str());
      details[k].setSize(double(session.size));
      details[k].setModified(formatTime(session.mtime).c_str());
      details[k].setProject(toUtf8(projectOf(session)).c_str());
      auto start = session.start.value_or(SessionStart());
      details[k].setDirectory(toUtf8(start.directory).c_str());
      details[k].setTitle(toUtf8(start.title).c_str());
    }
  }
  return toJson(message.getRoot<report::SessionList>().asReader());
}

}  // namespace pibrain
