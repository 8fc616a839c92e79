// Applying an op: run it, and record it where a gradient is needed.
#pragma once
#include "tape/plan.h"

namespace pb {

// Results are appended to `out`: the outputs that a caller sees.
void apply(const Application& a, std::vector<Var>& out);
Var apply_one(const Application& a);
// If the op has one visible result. Otherwise false, and nothing was done.
bool apply_single(const Application& a, Var& out);

// Records an application whose result already exists (or needs no elements), and returns its node.
// `results` are the arrays of all outputs; null pointers where nothing is kept.
Ref<Node> record(const Application& a);

// The op's result written into args[0], which keeps its storage, its meta and its dtype.
// Returns the node of the new value (null: no gradient). Checks overlap and dtypes as torch does.
Ref<Node> apply_in_place(const Application& a);

// Throws where the op would divide integers by zero (divisor.cpp).
void check_divisor(const Application& a);

// In-place and mixed uses of memory that would depend on the order of elements.
enum class Overlap { None, Whole, Partial };  // Whole: the same elements in the same places
Overlap overlap_of(const Array& a, const Array& b);
void check_no_internal_overlap(const Array& a);
void check_no_overlap(const Array& a, const Array& b, bool whole_too = false);
void check_fits(const Meta& result, const Meta& self);  // for a result that is to be written into self
bool same_memory(const Array& a, const Array& b);

void copy_elements(const Array& to, const Array& from);  // converts; same shape; not recorded
// Elements in memory of their own, under the strides of `like`, so that plans made for that fit them.
Array copy_of(const Array& a, const Meta& like);
void fill_elements(const Array& to, const Scalar& value);
Var zeros_like(const Meta& m);  // contiguous

const Op* find_op(std::string_view name);   // throws if it is not registered
Op* register_op(Op op);                     // lives for ever
std::span<Op* const> all_ops();

inline constexpr char kFreedGraph[] =
    "Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
    "Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access "
    "saved tensors "
    "after calling backward.";
inline constexpr char kInferenceSaved[] =
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
    "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and "
    "use it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`.";

class OperationNode;
// Hands what a node has just saved to the hooks of the thread. Null while no thread has hooks.
using PackSaved = void (*)(OperationNode&);
extern PackSaved g_pack_saved;
// The same for one value; null where the thread has none.
using PackValue = std::unique_ptr<PackedValue> (*)(const Var&);
extern PackValue g_pack_value;
// What hooks give back for a value that an op saved, under the value's type and layout.
Array unpacked(const PackedValue& packed, const Meta& meta, const std::string& op);
// Told before the elements of an array are overwritten. Null while nobody asked.
using BeforeChange = void (*)(const Array&);
extern BeforeChange g_before_change;
// Whether one of those who may ask does.
void tell_before_changes(BeforeChange who, bool on);

// A node's name as torch's messages have it: "Mul" for MulBackward0, "Fill2" for FillBackward2.
std::string short_name(const std::string& node_name);

class OperationNode final : public Node {
 public:
  static Ref<OperationNode> make(Ref<Plan> plan, const Application& a);

  const std::string& name() const override {
    const Op& op = *plan_->op;
    const bool by_number = !op.number_node_name.empty() && plan_->in.size() > 1 && !plan_->in[1];
    return by_number ? op.number_node_name : op.node_name;
  }
  uint32_t outputs() const override { return static_cast<uint32_t>(plan_->out.size()); }
  uint32_t differentiable_outputs() const override;
  const Meta* output_meta(uint32_t i) const override { return plan_->out[i].get(); }
  void run(std::span<Var> cotangents, std::span<Var> out, const BackwardMode& mode) override;
  void release_saved() override;
  void destroy() override;

  // Which argument an edge belongs to, and the other way round.
  int32_t argument_of(size_t edge) const { return plan_->arguments[edge]; }
  const Plan& plan() const { return *plan_; }
  bool released() const { return released_; }
  bool packed() const { return packed_; }
  void save(const Application& a, std::span<const Array> outputs);
  void keep(const Application& a, std::span<const Array> outputs);  // without asking hooks

  struct Saved {
    Array array;
    uint32_t version = 0;
  };
  std::span<Saved> saved() { return {saved_begin(), saved_count_}; }
  const Meta* meta_of_saved(size_t k) const;
  // A saved value as it stood on the tape: an input on its own edge, an output on this node.
  Var reattach(size_t k, Array value);
  // Whether a kept value was changed in place since.
  bool outdated() const;
  // Checked against changes since, or unpacked.
  Array saved_value(size_t k) const;
  const PackedValue* packed(size_t k) const;
  void take_over(size_t k, std::unique_ptr<PackedValue> packed);  // instead of the node's own reference
  std::span<const Scalar> scalars() const { return {scalars_begin(), scalar_count_}; }

 private:
  class Held;

  OperationNode() = default;
  std::string name_of_saved(const Saved& s, const Save& source) const;
  void check_saved(const Saved& s, size_t k) const;
  std::vector<Array> unpack_all() const;
  bool needs_saved(uint64_t cotangents) const;
  void complete_shared(std::vector<Var>& cotangents) const;
  void run_recorded(std::span<Var> cotangents, uint64_t mask, std::span<const Array> unpacked,
                    std::span<Var> out);
  void collect_outputs(std::span<Array> results, std::span<Var> out) const;

  // Behind the node: its edges, what it saved, and its numbers.
  Saved* saved_begin() const { return reinterpret_cast<Saved*>(edges_ + edge_count_); }
  Scalar* scalars_begin() const { return reinterpret_cast<Scalar*>(saved_begin() + saved_capacity_); }

  Ref<Plan> plan_;
  uint32_t saved_count_ = 0, saved_capacity_ = 0, scalar_count_ = 0;
  bool released_ = false, packed_ = false;
};

}  // namespace pb
