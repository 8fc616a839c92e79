// The tape: nodes, their edges, and what they keep for the way back.
#pragma once
#include <memory>
#include <vector>

#include "program/bound.h"

namespace pb {

class Node;

// What an open transformation adds to a value: see tape/transform.h.
class Layer {
 public:
  virtual ~Layer() = default;
  void retain() { ++refs_; }
  void release() {
    if (--refs_ == 0) delete this;
  }
  static inline int64_t alive = 0;  // nothing is looked for while there are none

 protected:
  Layer() { ++alive; }
  static void died() { --alive; }

 private:
  uint32_t refs_ = 0;
};

// A value on the tape: an array, and where its gradient goes (null: nowhere).
// With a layer, the array is what a program inside the transformation sees; the layer holds the values.
struct Var {
  Array array;
  Ref<Node> node;
  uint32_t nr = 0;  // which output of the node
  Ref<Layer> layer{};
};

struct Edge {
  Ref<Node> node;
  uint32_t nr = 0;
};

// A saved value that hooks took over from its node.
class PackedValue {
 public:
  virtual ~PackedValue() = default;
  virtual Array unpack() const = 0;
};

// Python's view of a node: hooks, and the object handed out as grad_fn. Made on first use.
struct NodeExtras {
  virtual ~NodeExtras() = default;
  virtual bool shows_gradients() const = 0;  // of the edges, to hooks
  std::vector<std::unique_ptr<PackedValue>> packed;  // by save; null: the node keeps the value itself
};

struct Level;

// What a node keeps besides for gradients with tangents: see tape/pushed.h.
struct Notes { virtual ~Notes() = default; };

struct BackwardMode {
  bool keep_graph = false;
  bool create_graph = false;
  std::span<const Ref<Level>> along{};  // gradients carry the tangents of these levels
};

class Node {
 public:
  virtual ~Node() = default;
  virtual const std::string& name() const = 0;
  virtual uint32_t outputs() const = 0;
  // Those of them that hooks see: without hidden outputs and indices.
  virtual uint32_t differentiable_outputs() const { return outputs(); }
  virtual bool is_leaf() const { return false; }
  // Whether it runs where none of its outputs got a gradient, as a user's backward does: it may make one.
  virtual bool runs_undefined() const { return false; }
  // Cotangents of the outputs in (undefined ones have no storage), of the edges out. Sets what is needed only.
  virtual void run(std::span<Var> cotangents, std::span<Var> out, const BackwardMode& mode) = 0;
  virtual void release_saved() {}
  // Meta of an output, if it is known: for zeros and for checks.
  virtual const Meta* output_meta(uint32_t) const { return nullptr; }
  virtual void destroy() { delete this; }  // frees the memory as it was allocated
  std::span<Edge> edges() { return {edges_, edge_count_}; }  // where the gradients go

  void retain() { ++refs_; }
  void release() {
    if (--refs_ == 0) dispose(this);
  }
  uint32_t refs() const { return refs_; }

  uint64_t sequence = 0;  // creation number in its thread; leaves come first on the way back
  uint32_t scopes = 0;    // which scopes of differentiation it depends on: bit 0 are ordinary leaves
  uint32_t place = 0;     // in the user's program, where places are watched (tape/watch.h)
  std::unique_ptr<NodeExtras> extras;
  std::unique_ptr<Notes> pushed;  // of a node recorded under forward mode

 private:
  static void dispose(Node* first);  // without recursion over the graph
  uint32_t refs_ = 0;

 protected:
  uint32_t edge_count_ = 0;
  Edge* edges_ = nullptr;  // they live with the kind of node
};

// Among a node's scopes: perhaps the place of a view whose history was lost (tape/views.h), over which nothing
// may be recorded. The bit is also the last scope's, which is hardly ever open.
inline constexpr uint32_t kPerhapsLost = uint32_t{1} << 31;
void refuse_if_lost(const Node& n);
inline void check_not_lost(const Node* n) {
  if (n && n->scopes & kPerhapsLost) [[unlikely]]
    refuse_if_lost(*n);
}

inline constexpr uint64_t kLeafSequence = UINT64_MAX;

uint64_t next_sequence();
uint64_t peek_sequence();

bool grad_enabled();
void set_grad_enabled(bool on);
// Inference mode records nothing, whatever the grad mode is.
inline bool recording() { return grad_enabled() && !inference_mode(); }

// Restores the modes on every path.
class GradMode {
 public:
  explicit GradMode(bool on) : before_(grad_enabled()), inference_(inference_mode()) {
    set_grad_enabled(on);
    if (on && inference_) set_inference_mode(false);
  }
  ~GradMode() {
    set_grad_enabled(before_);
    if (inference_) set_inference_mode(true);
  }
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool before_, inference_;
};

}  // namespace pb
