#include "kernels/nll.h"

#include <algorithm>
#include <bit>

#include "kernels/copy.h"
#include "kernels/walk.h"

namespace pb {
namespace {

// torch's order of adding up: eight levels; a level is emptied into the next one each time the element's
// number is a multiple of that level's power of two. An element that is ignored moves nothing up.
template <class T> class Cascade {
 public:
  explicit Cascade(int64_t n)
      : power_(std::max(
            4, n > 1 ? static_cast<int>(std::bit_width(static_cast<uint64_t>(n - 1))) / kLevels : 0)) {}
  void add(T v) { level_[0] += v; }
  void carry(int64_t number) {
    for (int j = 0; j + 1 < kLevels; ++j) {
      const int64_t mask = ((int64_t{1} << power_) - 1) << (j * power_);
      if ((number & mask) != 0) return;
      level_[j + 1] += level_[j];
      level_[j] = T(0);
    }
  }
  T total() const {
    T sum = T(0);
    for (T v : level_) sum += v;
    return sum;
  }

 private:
  static constexpr int kLevels = 8;
  int power_;
  T level_[kLevels] = {};
};

int class_axis(const View& input) { return input.ndim > 1 ? 1 : 0; }

// Over target's shape: the target, the input without its classes, the result without reduction.
Walk<3> nll_walk(const View& target, const View& input, const View& out) {
  Walk<3> w;
  for (int a = 0; a < target.ndim; ++a)
    w.add(target.shape[a], target.strides[a], input.strides[a < 1 ? 0 : a + 1],
          out.ndim ? out.strides[a] : 0);
  w.merge();
  return w;
}

IndexFault check_classes(const Walk<3>& w, const NllTarget& t, int64_t classes) {
  const int64_t* target = data_of<const int64_t>(t.target);
  IndexFault fault;
  if (w.count() == 0) return fault;
  walk_all(w, [&](const int64_t* at, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t c = target[at[0] + i * w.inner_stride(0)];
      if (c != t.ignore_index && (c < 0 || c >= classes) && !fault) fault = {true, c, classes, 1};
    }
  });
  return fault;
}

// f(number, class or -1 if ignored, place in the input's class 0, place in out) in order.
template <class F> void each_target(const Walk<3>& w, const NllTarget& t, F&& f) {
  if (w.count() == 0) return;
  const int64_t* target = data_of<const int64_t>(t.target);
  int64_t number = 0;
  walk_all(w, [&](const int64_t* at, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t c = target[at[0] + i * w.inner_stride(0)];
      f(number++, c == t.ignore_index ? -1 : c, at[1] + i * w.inner_stride(1), at[2] + i * w.inner_stride(2));
    }
  });
}

template <class T> void forward(const Walk<3>& w, const View& input, const NllTarget& t, LossReduction how,
                                const View& out, T* total) {
  const T* x = data_of<const T>(input);
  T* to = data_of<T>(out);
  const T* weight = static_cast<const T*>(t.weight);
  const int64_t by_class = input.strides[class_axis(input)];
  if (how == LossReduction::None) {
    *total = T(0);
    each_target(w, t, [&](int64_t, int64_t c, int64_t in, int64_t place) {
      to[place] = c < 0 ? T(0) : -x[in + c * by_class] * (weight ? weight[c] : T(1));
    });
    return;
  }
  const int64_t n = w.count();
  Cascade<T> losses(n), weights(n);
  int64_t ignored = 0;
  each_target(w, t, [&](int64_t number, int64_t c, int64_t in, int64_t) {
    if (c < 0) {
      ++ignored;
      return;
    }
    const T value = x[in + c * by_class];
    losses.add(weight ? -(value * weight[c]) : -value);
    if (weight) weights.add(weight[c]);
    losses.carry(number);
    if (weight) weights.carry(number);
  });
  *total = weight ? weights.total() : static_cast<T>(n - ignored);
  *to = how == LossReduction::Mean ? losses.total() / *total : losses.total();
}

}  // namespace

IndexFault nll_forward(const View& input, const NllTarget& t, LossReduction how, const View& out,
                       void* total_weight) {
  const Walk<3> w =
      nll_walk(t.target, input, how == LossReduction::None ? out : View{out.data, out.dtype, 0, {}, {}});
  if (IndexFault fault = check_classes(w, t, input.shape[class_axis(input)])) return fault;
  if (input.dtype == DType::Float32) forward(w, input, t, how, out, static_cast<float*>(total_weight));
  else forward(w, input, t, how, out, static_cast<double*>(total_weight));
  return {};
}

IndexFault nll_backward(const View& grad, const NllTarget& t, LossReduction how, const void* total_weight,
                        const View& input_grad) {
  const bool each = how == LossReduction::None;
  const Walk<3> w = nll_walk(t.target, input_grad, each ? grad : View{grad.data, grad.dtype, 0, {}, {}});
  const int axis = class_axis(input_grad);
  if (IndexFault fault = check_classes(w, t, input_grad.shape[axis])) return fault;
  const uint64_t zero = 0;
  fill(input_grad, &zero);
  auto run = [&]<class T>(T* to) {
    const T* g = data_of<const T>(grad);
    const T* weight = static_cast<const T*>(t.weight);
    const T whole = each ? T(0) : how == LossReduction::Mean ? *g / *static_cast<const T*>(total_weight) : *g;
    each_target(w, t, [&](int64_t, int64_t c, int64_t in, int64_t place) {
      if (c < 0) return;
      const T one = each ? g[place] : whole;
      to[in + c * input_grad.strides[axis]] = weight ? -weight[c] * one : -one;
    });
  };
  if (input_grad.dtype == DType::Float32) run(data_of<float>(input_grad));
  else run(data_of<double>(input_grad));
  return {};
}

}  // namespace pb
