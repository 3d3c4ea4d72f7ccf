// TaskCancelled: what awaiting a handle throws when there is no outcome.
#pragma once

#include <exception>

namespace assay {

// Thrown to whoever awaits the handle of a task that was cancelled.
class TaskCancelled : public std::exception {
 public:
  const char* what() const noexcept override { return "assay: the awaited task was cancelled"; }
};

}  // namespace assay
