#include "tape/engine.h"

#include <algorithm>

#include "core/small.h"
#include "tape/pushed.h"
#include "tape/watch.h"

namespace pb {
namespace {

// Everything about one node during one run. Nothing is kept on the node, so runs may nest and interleave.
struct Task {
  explicit Task(Node* n) : node(n) {}
  Node* node;
  int32_t waiting = 0;     // edges into this node that have not delivered yet
  bool wanted = true;      // leads to a target
  int32_t first_target = -1;
  Var first;               // cotangent of output 0, the usual case
  std::vector<Var> others; // of outputs 1, 2, ...

  Var& cotangent(uint32_t nr) {
    if (nr == 0) return first;
    if (others.size() < nr) others.resize(nr);
    return others[nr - 1];
  }
};

struct Ready {
  uint64_t sequence;
  int32_t task;
  friend bool operator<(const Ready& a, const Ready& b) { return a.sequence < b.sequence; }
};

// From node to task: open addressing, because it is looked into once an edge.
class TaskMap {
 public:
  TaskMap() : slots_(kSlots, -1) { tasks.reserve(kSlots / 2); }

  // Empty again, with its memory kept for the next run unless that was a large one.
  void clear() {
    tasks.clear();
    ready.clear();
    stack.clear();
    if (slots_.size() > kSlots * 16) {
      tasks.shrink_to_fit();
      ready.shrink_to_fit();
      stack.shrink_to_fit();
      slots_ = std::vector<int32_t>(kSlots, -1);
    } else {
      std::fill(slots_.begin(), slots_.end(), -1);
    }
  }

  int32_t find(const Node* n) const {
    for (size_t i = home(n);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i] < 0 || tasks[slots_[i]].node == n) return slots_[i];
    }
  }
  int32_t find_or_add(Node* n, bool& added) {
    if ((tasks.size() + 1) * 2 > slots_.size()) grow();
    size_t i = home(n);
    for (; slots_[i] >= 0; i = (i + 1) & (slots_.size() - 1)) {
      if (tasks[slots_[i]].node == n) {
        added = false;
        return slots_[i];
      }
    }
    added = true;
    slots_[i] = static_cast<int32_t>(tasks.size());
    tasks.emplace_back(n);
    return slots_[i];
  }
  std::vector<Task> tasks;
  // What else a run fills and empties, here for the sake of its memory.
  std::vector<Ready> ready;
  std::vector<int32_t> stack;

 private:
  size_t home(const Node* n) const {
    return (reinterpret_cast<uintptr_t>(n) * 0x9E3779B97F4A7C15ull >> 32) & (slots_.size() - 1);
  }
  void grow() {
    slots_.assign(slots_.size() * 2, -1);
    for (size_t t = 0; t < tasks.size(); ++t) {
      size_t i = home(tasks[t].node);
      while (slots_[i] >= 0) i = (i + 1) & (slots_.size() - 1);
      slots_[i] = static_cast<int32_t>(t);
    }
  }
  static constexpr size_t kSlots = 64;
  std::vector<int32_t> slots_;
};

// Maps are lent to runs and taken back; a nested run gets another one.
class TaskMapLease {
 public:
  TaskMapLease() {
    if (pool().empty()) {
      map_ = std::make_unique<TaskMap>();
    } else {
      map_ = std::move(pool().back());
      pool().pop_back();
    }
  }
  ~TaskMapLease() {
    map_->clear();
    pool().push_back(std::move(map_));
  }
  TaskMapLease(const TaskMapLease&) = delete;
  TaskMapLease& operator=(const TaskMapLease&) = delete;
  TaskMap& operator*() const { return *map_; }

 private:
  static std::vector<std::unique_ptr<TaskMap>>& pool() {
    static auto& p = *new std::vector<std::unique_ptr<TaskMap>>();
    return p;
  }
  std::unique_ptr<TaskMap> map_;
};

class Run;
thread_local Run* t_run = nullptr;

class Run {
 public:
  explicit Run(BackwardRequest& r) : request_(r), outer_(std::exchange(t_run, this)) {}
  ~Run() { t_run = outer_; }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  const BackwardRequest& request() const { return request_; }
  const Run* outer() const { return outer_; }
  bool reaches(const Node& n) const {
    const int32_t t = map_.find(&n);
    return t >= 0 && map_.tasks[t].wanted;
  }

  void operator()() {
    const GradMode mode(request_.mode.create_graph);
    discover();
    if (request_.targets) mark_targets();
    for (Root& r : request_.roots) deliver(map_.find(r.node.get()), r.nr, std::move(r.cotangent));
    // A root that another root leads to waits for it.
    for (Root& r : request_.roots) {
      const int32_t t = map_.find(r.node.get());
      if (map_.tasks[t].waiting == 0) make_ready_once(t);
    }
    while (!ready_.empty()) {
      std::pop_heap(ready_.begin(), ready_.end());
      const int32_t t = ready_.back().task;
      ready_.pop_back();
      if (g_watched) [[unlikely]]
        execute_watched(t);
      else execute(t);
    }
  }

 private:
  void discover() {
    std::vector<int32_t>& stack = map_.stack;
    bool added = false;
    for (Root& r : request_.roots) {
      const int32_t t = map_.find_or_add(r.node.get(), added);
      if (added) stack.push_back(t);
    }
    while (!stack.empty()) {
      Node* n = map_.tasks[stack.back()].node;
      stack.pop_back();
      for (const Edge& e : n->edges()) {
        if (!e.node) continue;
        const int32_t t = map_.find_or_add(e.node.get(), added);
        ++map_.tasks[t].waiting;
        if (added) stack.push_back(t);
      }
    }
  }

  // Only nodes from which a target can be reached need to run.
  void mark_targets() {
    for (Task& t : map_.tasks) t.wanted = false;
    auto& targets = *request_.targets;
    next_target_.assign(targets.size(), -1);
    for (size_t k = 0; k < targets.size(); ++k) {
      const int32_t t = targets[k].node ? map_.find(targets[k].node.get()) : -1;
      if (t < 0) continue;
      next_target_[k] = map_.tasks[t].first_target;
      map_.tasks[t].first_target = static_cast<int32_t>(k);
    }
    // Children before parents: an explicit depth-first walk in two visits.
    std::vector<std::pair<int32_t, bool>> stack;
    std::vector<char> seen(map_.tasks.size(), 0);
    for (const Root& r : request_.roots) stack.push_back({map_.find(r.node.get()), false});
    while (!stack.empty()) {
      auto [t, done] = stack.back();
      stack.pop_back();
      Node* n = map_.tasks[t].node;
      if (done) {
        bool wanted = map_.tasks[t].first_target >= 0;
        for (const Edge& e : n->edges())
          if (!wanted && e.node) wanted = map_.tasks[map_.find(e.node.get())].wanted;
        map_.tasks[t].wanted = wanted;
        continue;
      }
      if (seen[t]) continue;
      seen[t] = 1;
      stack.push_back({t, true});
      for (const Edge& e : n->edges()) {
        if (!e.node) continue;
        const int32_t c = map_.find(e.node.get());
        if (!seen[c]) stack.push_back({c, false});
      }
    }
  }

  void make_ready_once(int32_t t) {
    map_.tasks[t].waiting = -1;
    ready_.push_back({map_.tasks[t].node->sequence, t});
    std::push_heap(ready_.begin(), ready_.end());
  }

  void deliver(int32_t t, uint32_t nr, Var&& g) {
    if (!g.array.storage) return;
    Var& slot = map_.tasks[t].cotangent(nr);
    if (!slot.array.storage) slot = std::move(g);
    else accumulate(slot, std::move(g), request_.mode.create_graph);
  }

  void execute(int32_t t) {
    Task& task = map_.tasks[t];  // no task is added during a run
    Ref<Node> hold(task.node);
    Node& n = *task.node;
    set_grad_enabled(request_.mode.create_graph);  // for hooks too, whatever an earlier one left behind
    const std::span<Edge> edges = n.edges();
    Small<Var, 4> gradients(edges.size());
    const bool ran = process(task, n, gradients.span());
    for (size_t i = 0; i < edges.size(); ++i) {
      const Edge& e = edges[i];
      if (!e.node) continue;
      const int32_t next = map_.find(e.node.get());
      if (ran) deliver(next, e.nr, std::move(gradients[i]));
      if (--map_.tasks[next].waiting == 0) make_ready_once(next);
    }
  }

  // From the cotangents that arrived to the gradients of the edges; false: there is nothing to do here.
  bool process(Task& task, Node& n, std::span<Var> gradients) {
    const bool seen = request_.observer && n.extras && task.wanted;
    const size_t arrived = 1 + task.others.size();
    Small<Var, 2> cotangents(seen ? std::max<size_t>(arrived, n.differentiable_outputs()) : arrived);
    cotangents[0] = std::move(task.first);
    for (size_t k = 1; k < arrived; ++k) cotangents[k] = std::move(task.others[k - 1]);
    const auto some = [&] {
      return any_defined(cotangents.span()) || (n.runs_undefined() && request_.mode.along.empty());
    };
    const bool running = runs(task, n);
    // As in torch: of a node that runs the gradient that arrived is handed out, of one that is only waited for what
    // the tensor's hooks make of it. The node's own hooks belong to its running.
    if (running) capture(task, cotangents.span());
    if (seen && some()) request_.observer->arrived(n, cotangents.span());
    if (!running) {
      capture(task, cotangents.span());
      return false;
    }
    if (n.pushed) [[unlikely]]
      return process_pushed(n, cotangents.span(), gradients, task.wanted);
    if (seen && some()) request_.observer->before(n, cotangents.span());
    if (!some()) return false;
    n.run(cotangents.span(), gradients, request_.mode);
    if (g_watched & (kWatchNan | kWatchNonfinite)) [[unlikely]]
      look_at(n, cotangents.span(), gradients);
    if (request_.observer && n.extras) {
      forget_unwanted(n, gradients);
      request_.observer->after(n, cotangents.span(), gradients);
    }
    if (!request_.mode.keep_graph) n.release_saved();
    return true;
  }

  // A node of forward mode: its own hooks see what the program applied, without the tangents' places.
  bool process_pushed(Node& n, std::span<Var> cotangents, std::span<Var> gradients, bool wanted) {
    const Pushed *view = applied_at(n), *p = pushed_along(n, request_.mode.along);
    Node& known = p ? known_as(n) : n;
    const bool seen = request_.observer && known.extras && wanted;
    std::vector<Var> shown;
    if (view && seen) {
      shown = at(cotangents, view->outputs);
      if (any_defined(shown)) request_.observer->before(known, shown);
      put(shown, cotangents, view->outputs);
    }
    if (!any_defined(cotangents)) return false;
    if (p) run_along(*p, n, cotangents, gradients);
    else n.run(cotangents, gradients, request_.mode);
    if (g_watched & (kWatchNan | kWatchNonfinite)) [[unlikely]] {
      if (view) look_at(n, cotangents, at(gradients, view->edges));
      if (!p) look_at(n, cotangents, gradients);
    }
    if (view && seen) {
      forget_unwanted(n, gradients);
      std::vector<Var> found = at(gradients, view->edges);
      request_.observer->after(known, shown, found);
      put(found, gradients, view->edges);
    }
    if (!request_.mode.keep_graph) {
      n.release_saved();
      release_pushed(n);
    }
    return true;
  }

  // Gradients with tangents. What arrives at places of tangents, which the program used as values, goes the way that
  // the node knows.
  void run_along(const Pushed& p, Node& n, std::span<const Var> cotangents, std::span<Var> gradients) {
    std::vector<Var> rest(cotangents.begin(), cotangents.end());
    const std::vector<Var> whole = at(rest, p.outputs);
    for (const int32_t nr : p.outputs)
      if (nr >= 0 && static_cast<size_t>(nr) < rest.size()) rest[nr] = Var();
    BackwardMode kept = request_.mode;
    kept.keep_graph = true;
    if (p.applied() && any_defined(rest)) n.run(rest, gradients, kept);
    if (p.applied() && !any_defined(whole)) return;
    std::vector<Var> found(p.edges.size());
    run_pushed(p, n, whole, found, request_.mode.create_graph);
    for (size_t k = 0; k < found.size(); ++k) {
      Var& slot = gradients[p.edges[k]];
      if (!found[k].array.storage) continue;
      if (!slot.array.storage) slot = std::move(found[k]);
      else accumulate(slot, std::move(found[k]), request_.mode.create_graph);
    }
  }

  static std::vector<Var> at(std::span<const Var> values, std::span<const int32_t> places) {
    std::vector<Var> out(places.size());
    for (size_t k = 0; k < places.size(); ++k)
      if (places[k] >= 0 && static_cast<size_t>(places[k]) < values.size()) out[k] = values[places[k]];
    return out;
  }
  static void put(std::span<const Var> values, std::span<Var> into, std::span<const int32_t> places) {
    for (size_t k = 0; k < places.size(); ++k)
      if (places[k] >= 0 && static_cast<size_t>(places[k]) < into.size()) into[places[k]] = values[k];
  }

  static bool any_defined(std::span<const Var> values) {
    return std::ranges::any_of(values, [](const Var& v) { return !!v.array.storage; });
  }

  // Anomaly mode: an error on the way says which node it met, and nodes recorded meanwhile know their parent.
  void execute_watched(int32_t t) {
    const Ref<Node> node(map_.tasks[t].node);
    const RunningNode running(*node);
    try {
      execute(t);
    } catch (...) {
      if (g_watched & kWatchStacks) g_watcher->failed(*node);
      throw;
    }
  }

  void look_at(Node& n, std::span<const Var> cotangents, std::span<const Var> gradients) {
    std::vector<Var> parts;
    if (!request_.mode.along.empty() && (g_watched & kWatchNan)) {
      for (const Var& g : gradients) parts.push_back(worst_part(g));
      gradients = parts;
    }
    // What an operation's node gives on as it came, or a view of it, was looked at when it was made. Anomaly mode
    // names each node that a nan passes, and a user's node may have changed it.
    const auto passed_on = [&](const Array& a) {
      const auto same = [&](const Var& c) { return c.array.storage == a.storage; };
      return !(g_watched & kWatchNan) && std::ranges::any_of(cotangents, same) &&
             dynamic_cast<const OperationNode*>(&n);
    };
    const auto fine = [&](const Var& g) { return g.layer || passed_on(g.array) || all_finite(g.array); };
    if (std::ranges::all_of(gradients, fine)) return;
    std::vector<Ref<Node>> roots;
    for (const Root& r : request_.roots) roots.push_back(r.node);
    judge_gradients(n, cotangents, gradients, roots);
  }

  // Of a value with tangents, one that has a nan.
  static Var worst_part(const Var& g) {
    if (!g.layer) return g;
    const ValueLayer& l = *layer_of(g);
    Var value = worst_part(l.value);
    if (!l.tangent.array.storage || !all_finite(value.array)) return value;
    Var tangent = worst_part(l.tangent);
    return all_finite(tangent.array) ? value : tangent;
  }

  // With targets only what leads to one runs. The targets of backward(inputs=...) do themselves: leaves accumulate.
  bool runs(const Task& task, Node& n) {
    if (!task.wanted) return false;
    if (!request_.targets || (request_.accumulate_into_targets_only && task.first_target >= 0)) return true;
    return leads_on(n);
  }

  // Gradients that came along although nobody asked for them are not shown to hooks.
  void forget_unwanted(Node& n, std::span<Var> gradients) {
    if (!request_.targets) return;
    for (size_t i = 0; i < gradients.size(); ++i)
      if (Node* next = n.edges()[i].node.get(); next && !map_.tasks[map_.find(next)].wanted)
        gradients[i] = Var();
  }

  bool leads_on(Node& n) {
    return std::ranges::any_of(
        n.edges(), [&](const Edge& e) { return e.node && map_.tasks[map_.find(e.node.get())].wanted; });
  }

  void capture(const Task& task, std::span<Var> cotangents) {
    for (int32_t k = task.first_target; k >= 0; k = next_target_[k]) {
      Target& target = (*request_.targets)[k];
      if (target.nr < cotangents.size()) target.gradient = cotangents[target.nr];
    }
  }

  BackwardRequest& request_;
  Run* outer_;
  TaskMapLease lease_;
  TaskMap& map_ = *lease_;
  std::vector<Ready>& ready_ = map_.ready;
  std::vector<int32_t> next_target_;
};

const Op* add_op() {
  static const Op* op = find_op("add");
  return op;
}

}  // namespace

bool add_directly(const Array& to, const Var& a, const Var& b) {
  const Array &x = a.array, &y = b.array;
  if (g_watched || g_before_change || x.meta.get() != y.meta.get() || !x.meta->is_dense) return false;
  const Argument args[2] = {{&a, {}}, {&b, {}}};
  const Plan& p = find_plan({add_op(), args, {}, 0}, 0);
  if (!p.direct) return false;
  p.direct(to.data(), x.data(), y.data(), nullptr, x.meta->numel);
  return true;
}

void accumulate(Var& into, Var&& g, bool create_graph) {
  if (!create_graph && !into.layer && !g.layer && !(g_watched & kWatchNonfinite)) {
    const Array &a = into.array, &b = g.array;
    const bool same = a.meta.get() == b.meta.get() && a.meta->is_dense;
    if (same && a.storage->unique() && add_directly(a, into, g)) return;
    if (same && b.storage->unique() && add_directly(b, into, g)) {
      into = std::move(g);
      return;
    }
    if (same && (a.storage->unique() || b.storage->unique())) {
      const Argument args[2] = {{&into, {}}, {&g, {}}};
      const Ref<Plan> p(&find_plan({add_op(), args, {}, 0}, 0));
      const Array* inputs[2] = {&a, &b};
      Array sum;
      p->forward->run(inputs, {}, {&sum, 1}, a.storage->unique() ? 1 : 2);
      into.array = std::move(sum);
      return;
    }
  }
  const GradMode mode(create_graph);
  const Purpose purpose("adding up the gradients of a value that is used more than once");
  const Argument args[2] = {{&into, {}}, {&g, {}}};
  into = apply_one({add_op(), args, {}, 0});
}

void run_backward(BackwardRequest& request) {
  Run run(request);
  run();
}

EngineObserver* current_observer() { return t_run ? t_run->request().observer : nullptr; }
bool current_run_reaches(const Node& n) { return t_run && t_run->reaches(n); }
bool any_run_asks_for_inputs() {
  for (const Run* r = t_run; r; r = r->outer())
    if (r->request().targets) return true;
  return false;
}

}  // namespace pb
