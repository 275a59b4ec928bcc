#pragma once

#include <string>

#include "hub/report/status.h"

namespace pibrain {

// Returns the metrics in the text format of Prometheus
// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).
std::string prometheusText(const Status& status);

}  // namespace pibrain
