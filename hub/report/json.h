#pragma once
// The documents of proto/report.capnp as JSON.

#include <capnp/message.h>

#include <optional>
#include <string>

#include "common/text/utf8.h"
#include "hub/base/failure.h"
#include "hub/pass/spoke-report.h"
#include "proto/report.capnp.h"

namespace pibrain {

// Texts that are empty become null: JsonCodec leaves out what is not set, and readers rely on the
// keys. Lists and texts that a reader expects are to be set.
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

// Every failure looks like this; none is null. It is to be called in either case.
void fill(const std::optional<Failure>& failure, report::Failure::Builder out);

void fillCounts(const Counts& counts, report::Run::Counts::Builder out);

// What stands beside a path that is printed by toUtf8: the exact one, percent-encoded; empty if the
// path is UTF-8 and so stands for itself.
std::string exactPath(const std::string& path);

}  // namespace pibrain
