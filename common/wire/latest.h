#pragma once

#include <stddef.h>

#include <list>
#include <string>
#include <unordered_map>
#include <utility>

namespace pibrain {

// Values by path, of which the least recently used is forgotten when there are more than MOST.
template <typename Value, size_t MOST>
class Latest {
 public:
  using Entries = std::list<std::pair<const std::string, Value>>;

  // Sets the value, and returns it, to be changed in place.
  Value& keep(const std::string& path, Value&& value) {
    if (auto* known = find(path)) return *known = std::move(value);
    entries_.emplace_front(path, std::move(value));
    byPath_[path] = entries_.begin();
    if (entries_.size() > MOST) forget(std::string(entries_.back().first));
    return entries_.front().second;
  }

  // Returns null if there is none.
  Value* find(const std::string& path) {
    auto found = byPath_.find(path);
    if (found == byPath_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }

  void forget(const std::string& path) {
    auto found = byPath_.find(path);
    if (found == byPath_.end()) return;
    entries_.erase(found->second);
    byPath_.erase(found);
  }

  void clear() {
    entries_.clear();
    byPath_.clear();
  }

  const Entries& all() const { return entries_; }  // the latest first
  Entries& all() { return entries_; }

 private:
  Entries entries_;
  std::unordered_map<std::string, typename Entries::iterator> byPath_;
};

}  // namespace pibrain
