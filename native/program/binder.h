// Works out shapes, forms fused elementwise groups and plans memory: the making of a Bound.
#pragma once
#include <memory_resource>

#include "program/bound.h"

namespace pb {

class Binder {
 public:
  Binder(Ref<Program> program, std::span<const Meta* const> inputs, std::span<const int64_t> params);
  Ref<Bound> bind();  // null if a guard does not hold

 private:
  // What is needed while binding only: many short lists, all of them in one place that is given up at the end.
  template <class T> using List = std::pmr::vector<T>;
  struct Member {        // an elementwise instruction of the open group
    const Op* op;
    List<int32_t> in;         // values
    int32_t value;            // its result; -1 for a store
    ElementwiseTypes types;
    Ref<Meta> meta;
    int32_t store_to = -1;    // location that takes the result in place
  };
  struct Sum {  // of a member's elements, each run of them to one
    int32_t value, result;
  };
  struct Lowering;       // the open group turned into a step (group.cpp)

  List<bool> known() const;
  bool guards_hold() const;
  int64_t evaluate(int32_t expression);
  List<int64_t> evaluate(const std::vector<Param>& params);
  void work_out(List<int64_t>& sizes, size_t count) const;
  int64_t worked_out(const IntExpr& e, std::span<const int64_t> before) const;
  Operand operand(int32_t value) const;
  const Metas& results_of(const Instruction& i, std::span<const int64_t> ints);
  bool in_group(int32_t value) const;
  bool needs_memory(int32_t value) const;
  const Location& location_of(int32_t value);

  void find_live();
  static bool is_shape_only(const Instruction& i);
  List<int32_t> resolved(const std::vector<int32_t>& values) const;
  bool bind_identity(const Instruction& i, std::span<const int64_t> ints);
  void bind_instruction(const Instruction& i);
  void bind_elementwise(const Instruction& i);
  void bind_view(const Instruction& i);
  void bind_kernel(const Instruction& i);
  void join(Member m);
  bool join_sum(const Instruction& i, std::span<const int64_t> ints, const Ref<Meta>& out);
  bool comes_after_sums(const Member& m) const;
  bool goes_before(const Member& m) const;
  void store_in_place();
  void close_group();
  void emit_group(std::span<const Member> members, std::span<const Sum> sums = {});
  bool reads_target_otherwise(const Member& store) const;

  int32_t add_location(int32_t buffer, int64_t offset, Ref<Meta> meta);
  int32_t new_location(Ref<Meta> meta);                  // in a buffer of its own
  int32_t packed(int32_t location);  // a contiguous copy, if it is not contiguous already
  void finish_outputs();
  void plan_arena();
  void find_addresses();
  bool may_unlock(const KernelStep& k) const;
  void find_donors();
  int32_t only_location(int32_t buffer) const;
  void find_overwrite();
  bool touches(const Step& step, int32_t buffer) const;
  bool is_touched(int32_t buffer) const;
  bool is_changed(int32_t input_location, int32_t output_location) const;
  bool may_donate(int32_t input_location, int32_t output_location) const;

  Ref<Bound> bound_;
  const Program& p_;
  std::span<const Meta* const> input_metas_;
  std::span<const int64_t> params_;
  std::byte room_[4096];
  mutable std::pmr::monotonic_buffer_resource arena_{room_, sizeof room_};
  List<Ref<Meta>> metas_{&arena_};  // of each value, once known
  List<int32_t> locations_{&arena_};  // of each value with memory, else -1
  List<int32_t> same_as_{&arena_};  // a value that is another one unchanged; else itself
  // Instructions whose elements somebody reads; of the others only the shapes matter.
  List<bool> live_ = List<bool>(&arena_);
  List<List<int32_t>> consumers_{&arena_};  // instructions that read a value; -1: it is an output
  List<Member> group_{&arena_};
  List<Sum> sums_{&arena_};  // that the open group ends with
  int64_t sum_run_ = 0;  // elements that each of them adds to one
  List<int32_t> group_of_{&arena_};  // instruction -> 1 while its result is in the open group
  List<Operand> operands_{&arena_};
  Metas inferred_;
  List<int64_t> sizes_{&arena_};  // of the first expressions, as many as were asked for
  int32_t current_ = 0;
};

}  // namespace pb
