#pragma once
// Encodes the documents of proto/report.capnp as JSON.

#include <capnp/message.h>

#include <optional>
#include <string>

#include "common/text/utf8.h"
#include "hub/base/failure.h"
#include "hub/pass/spoke-report.h"
#include "proto/report.capnp.h"

namespace pibrain {

// An empty text becomes null in the fields that can be null. JsonCodec omits fields that are not
// set, and readers rely on the keys, so all lists and texts must be set.
std::string toJson(report::Refusal::Reader refusal);
std::string toJson(report::Status::Reader status);
std::string toJson(report::Run::Reader run);
std::string toJson(report::SessionList::Reader list);
std::string toJson(report::Doctor::Reader doctor);
std::string toJson(report::ArchiveList::Reader list);
std::string toJson(report::ArchiveRestore::Reader restored);
std::string toJson(report::Verify::Reader verify);
std::string toJson(report::History::Reader history);
std::string toJson(report::SpokeList::Reader list);
std::string toJson(report::SpokeChanges::Reader changes);
std::string toJson(report::DaemonStatus::Reader daemon);
std::string toJson(report::WatchLine::Reader line);  // without line breaks

// Fills in a failure; nullopt becomes null in the JSON. Must be called in either case.
void fill(const std::optional<Failure>& failure, report::Failure::Builder out);

void fillCounts(const Counts& counts, report::Run::Counts::Builder out);

// Returns the exact form of a path, percent-encoded, to be printed beside toUtf8(path); empty if
// the path is UTF-8.
std::string exactPath(const std::string& path);

}  // namespace pibrain
