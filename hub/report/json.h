#pragma once
// The documents of proto/report.capnp, printed as JSON.

#include <capnp/message.h>

#include <string>

#include "common/text/utf8.h"
#include "hub/result/spoke-report.h"
#include "proto/report.capnp.h"

namespace pibrain {

// Texts that are empty become null: JsonCodec leaves out what is not set, and readers rely on the
// keys. Lists and texts that a reader expects are to be set.
void printJson(report::Status::Reader status);
void printJson(report::Run::Reader run);
void printJson(report::SessionList::Reader list);
void printJson(report::Doctor::Reader doctor);
void printJson(report::ArchiveList::Reader list);
void printJson(report::Verify::Reader verify);
void printJson(report::History::Reader history);
void printJson(report::SpokeList::Reader list);
void printJson(report::SpokeChanges::Reader changes);

void fillCounts(const Counts& counts, report::Run::Counts::Builder out);

// What stands beside a path that is printed by toUtf8: the exact one, percent-encoded; empty if the
// path is UTF-8 and so stands for itself.
std::string exactPath(const std::string& path);

}  // namespace pibrain
