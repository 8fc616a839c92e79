// Gradients that carry tangents: what a node of forward mode keeps of its operation, so that the way back can run it
// on values with their tangents.
#pragma once
#include "tape/transform.h"
#include "tape/untouched.h"

namespace pb {

// A user's own backward, on what the call kept with its tangents.
struct PushedFunction {
  virtual ~PushedFunction() = default;
  // Whether it cannot be run. Finding that out may take a run of the user's program.
  virtual bool lacks() = 0;
  // Gradients of the tensor arguments, from cotangents of all results; undefined where nothing arrived.
  virtual void run(Node& node, std::span<const Var> cotangents, std::span<Var> gradients) = 0;
  virtual void release() = 0;
  // Whether the call keeps what it made for itself. Gradients without tangents, and the graph of its tangents, take
  // that for a constant.
  bool keeps_its_own = false;
};

// An operation as the program applied it to values with the tangents of one level. Its node is that of the values
// below, which may have more outputs (the tangents) and edges (to what they depend on).
struct Pushed final : Notes {
  Ref<Level> level;
  const Op* op = nullptr;  // null: a user's function, or only a note of what is missing
  std::unique_ptr<PushedFunction> function;
  std::vector<int64_t> ints;
  uint64_t symbolic = 0, need = 0;
  Ref<Plan> plan;  // of the op alone
  // What the op's own node would keep, if the program has all of it, by argument and by result. Else all arguments.
  std::vector<Var> values;  // only a meta where not kept
  bool from_arguments = false;
  std::unique_ptr<Untouched> untouched;  // the arguments, which the op itself may not keep
  std::vector<Scalar> scalars;  // by argument
  std::vector<uint32_t> versions;  // of all that the values are made of
  std::vector<std::unique_ptr<PackedValue>>
      packed;  // all that the values are made of, in the keeping of hooks
  std::vector<bool> tensors;  // which of the arguments are
  std::vector<int32_t> edges;  // of each tensor argument
  std::vector<int32_t> outputs;  // of each result; -1: it has no gradient
  std::vector<Ref<Level>> batches;  // around the values, older than the level and oldest first
  const char* missing = nullptr;  // why its gradients cannot be had with tangents
  bool keeps = false, released = false;
  std::unique_ptr<Notes> older;  // the same for an older level

  bool applied() const { return op || function; }
  const Pushed* next() const { return static_cast<const Pushed*>(older.get()); }
};

using Arguments = std::span<const Var* const>;  // the tensors among them

// Stands before the nodes that made some results, several or of a user's function. Gradients without tangents pass
// it on their way there; those with tangents go from it to the arguments at once.
class JointNode final : public Node {
 public:
  // The results move onto it. Its last edges are those of the arguments.
  static Ref<JointNode> make(const std::string& name, Arguments arguments, std::span<Var> results);
  const std::string& name() const override { return name_; }
  uint32_t outputs() const override { return static_cast<uint32_t>(metas_.size()); }
  const Meta* output_meta(uint32_t i) const override { return metas_[i].get(); }
  void run(std::span<Var> cotangents, std::span<Var> out, const BackwardMode& mode) override;
  // The one node that made all results, in whose place it stands before the program; null if they are several.
  Node* only() const { return only_.get(); }

 private:
  explicit JointNode(const std::string& name) : name_(name) {}
  const std::string& name_;  // an op's, or of a node
  std::vector<Edge> own_edges_;
  std::vector<Ref<Meta>> metas_;
  Ref<Node> only_;
};
// The same layers around the innermost value on another place of the tape.
Var moved(const Var& v, const Ref<Node>& node, uint32_t nr);
// The node that the program knows in the place of another.
Node& known_as(Node& n);

inline const Pushed* pushed_of(const Node& n) { return static_cast<const Pushed*>(n.pushed.get()); }
// What the program applied; null for a node of values without tangents.
const Pushed* applied_at(const Node& n);
// Of the newest of these levels; null if the node's operation had no tangents along any of them.
const Pushed* pushed_along(const Node& n, std::span<const Ref<Level>> along);
// Remembers an application, and the values before it where it is made in place. Nodes up to `first` are older.
void note_pushed(const Ref<Level>& level, const Application& a, std::span<Var> results, uint64_t first,
                 const Var* changed = nullptr);
// The same for a call of a user's function, whose results it moves onto a node of their own.
void note_function(const Ref<Level>& level, std::unique_ptr<PushedFunction> function, const std::string& name,
                   Arguments arguments, std::span<Var> results);
// The tensor arguments' gradients from those of the results, both with tangents.
void run_pushed(const Pushed& p, Node& node, std::span<const Var> cotangents, std::span<Var> gradients,
                bool record);
void release_pushed(Node& n);
[[noreturn]] void refuse_tangents(std::string_view why);
// From here on the nodes below, down to those that are older, are known to lack what belongs to a level.
void lack_tangents(const Var& v, uint64_t first, const Ref<Level>& level, bool of_function);
// The nodes through which gradients of some values come to others.
std::vector<Node*> nodes_between(const std::vector<Var>& roots, const std::vector<Var>& targets);
// Whether what a node keeps for gradients without tangents is no longer right, or never was.
bool is_outdated(const Node& n);
// Whether a node's gradients cannot carry the tangents of these levels.
bool lacking(const Node& n, std::span<const Ref<Level>> along);

}  // namespace pb
