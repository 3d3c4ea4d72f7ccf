// TaskGroup: tasks that cannot outlive the scope that spawned them, so they may refer to its locals.
//
//   TaskGroup group(executor);
//   for (Connection& each : connections) group.spawn(serve(each));
//   co_await group.join_all();
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

#include "assay/audited/intrusive_list.hpp"
#include "assay/audited/raw_waker.hpp"
#include "assay/executor.hpp"
#include "assay/future.hpp"
#include "assay/join_handle.hpp"
#include "assay/loan.hpp"

namespace assay {

// The executor's thread only. Destroying it cancels the tasks that are left, at once; aborts when one of them does that, or
// when a join_all() is not done. Several may join; one of them gets the exception.
class TaskGroup : public detail::Lender {
 public:
  explicit TaskGroup(Executor& executor ASSAY_LIFETIMEBOUND) noexcept : executor_(&executor) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup() {
    cancel_all();
    ASSAY_CHECK(!is_lent(), "a TaskGroup was destroyed while a task waits in its join_all()");
  }

  // As Executor::spawn; what the task yields is dropped. No allocation of its own.
  template <class First, class... Args>
    requires detail::NotAName<First>
  void spawn(First&& first, Args&&... args) {
    spawn(TaskName("group"), std::forward<First>(first), std::forward<Args>(args)...);
  }
  template <class F>
    requires Future<std::decay_t<F>>
  void spawn(TaskName name, F&& future) {
    adopt(executor_->emplace<MemberOf<std::decay_t<F>>>(name, *this, std::forward<F>(future)));
  }
  template <class Callable, class... Args>
    requires detail::CallableToFuture<Callable, Args...>
  void spawn(TaskName name, Callable&& callable, Args&&... args) {
    using Made = detail::Calling<std::decay_t<Callable>, std::decay_t<Args>...>;
    adopt(executor_->emplace<MemberOf<Made>>(name, *this, std::in_place, std::forward<Callable>(callable),
                                             std::forward<Args>(args)...));
  }

  // Ends every task that is left: their futures are destroyed before this returns.
  void cancel_all() noexcept {
    while (Member* const member = members_.front()) {
      ASSAY_CHECK(!member->handle_.is_running(), "a TaskGroup was ended by one of its own tasks");
      member->handle_.cancel();
      ASSAY_ASSERT(members_.front() != member, "internal: a cancelled task stayed in its group");
    }
  }

  // Ready when no task is left. When one throws, the others are cancelled, and the first exception is rethrown here.
  class [[nodiscard]] JoinAll : public audited::ListNode<JoinAll> {
   public:
    using Output = void;
    explicit JoinAll(TaskGroup& group) noexcept : group_(group) {}
    JoinAll(JoinAll&& other) noexcept : group_(std::move(other.group_)) {
      ASSAY_CHECK(other.state_ == State::fresh, moved_after_poll);
    }
    JoinAll& operator=(JoinAll&&) = delete;
    ~JoinAll() {
      if (is_linked()) unlink();  // before the waker goes, whose end may run code that ends the group's tasks
    }

    Poll<void> poll(Context& context) {
      ASSAY_CHECK(state_ != State::done, polled_after_ready);
      TaskGroup& group = *group_;
      state_ = State::waiting;
      if (!group.is_over()) {
        if (!is_linked()) group.joiners_.push_back(*this);
        // Copying or dropping a waker may run code that ends tasks: the line is joined before, and looked at after.
        if (!waker_.will_wake(context.local_waker())) waker_ = context.local_waker();
        if (!group.is_over()) return Pending;
        waker_ = LocalWaker();
      }
      if (is_linked()) unlink();
      state_ = State::done;
      if (group.error_) group.cancel_all();
      group_.end();
      if (!group.error_) return Ready();
      std::rethrow_exception(std::exchange(group.error_, nullptr));
    }

   private:
    friend class TaskGroup;
    enum class State : std::uint8_t { fresh, waiting, done };
    detail::Loan<TaskGroup> group_;
    LocalWaker waker_;
    State state_ = State::fresh;
  };
  JoinAll join_all() noexcept ASSAY_LIFETIMEBOUND { return JoinAll(*this); }

  bool empty() const noexcept { return members_.empty(); }
  // O(tasks).
  std::size_t size() const noexcept { return members_.check_deep(); }

 private:
  // Lives in its task's future: leaves the group when that is destroyed.
  class Member : public audited::ListNode<Member> {
   public:
    explicit Member(TaskGroup& group) noexcept : group_(group) {
      group_.members_.push_back(*this);
    }
    ~Member() {
      unlink();
      if (group_.newest_ == this) group_.newest_ = nullptr;
      if (group_.members_.empty()) group_.wake_joiners();
    }

   protected:
    void is_newest() noexcept { group_.newest_ = this; }
    void failed(std::exception_ptr error) noexcept {
      if (!group_.error_) group_.error_ = std::move(error);
      group_.wake_joiners();
    }

   private:
    friend class TaskGroup;
    TaskGroup& group_;
    JoinHandle<void> handle_;
  };

  template <Future F>
  class MemberOf final : public Member {
   public:
    using Output = void;
    template <class... Args>
    explicit MemberOf(TaskGroup& group, Args&&... args) : Member(group), future_(std::forward<Args>(args)...) {
      this->is_newest();  // last: moving the arguments may spawn into the same group
    }

    Poll<void> poll(Context& context) {
      try {
        if (future_.poll(context).is_pending()) return Pending;
      } catch (...) {
        this->failed(std::current_exception());
      }
      return Ready();
    }
    const std::source_location* waiting_at() const noexcept {
      if constexpr (audited::Located<F>) return future_.waiting_at();
      return nullptr;
    }

   private:
    F future_;
  };

  // The member whose task has just been spawned owns its handle; if the task is gone already, the handle goes with it.
  void adopt(JoinHandle<void> handle) noexcept {
    if (newest_ != nullptr) std::exchange(newest_, nullptr)->handle_ = std::move(handle);
  }

  bool is_over() const noexcept { return error_ != nullptr || members_.empty(); }

  void wake_joiners() noexcept {
    while (JoinAll* const first = joiners_.pop_front()) {
      std::exchange(first->waker_, LocalWaker()).wake();
    }
  }

  Executor* executor_;
  audited::IntrusiveList<Member> members_;
  Member* newest_ = nullptr;
  std::exception_ptr error_;
  audited::IntrusiveList<JoinAll> joiners_;
};

}  // namespace assay
