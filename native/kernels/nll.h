// The negative log likelihood of target classes: the picking of one class's value, and its sum in torch's
// order.
#pragma once
#include <cstdint>

#include "kernels/index.h"
#include "kernels/table.h"

namespace pb {

enum class LossReduction : uint8_t { None, Mean, Sum };  // torch's numbering

struct NllTarget {
  View target;             // int64, [n, d...], or without axes for one input of [c]
  const void* weight;      // one number a class, contiguous, of the input's dtype; or null
  int64_t ignore_index;
};

// input is [n, c, d...] (or [c]), float32 or float64. out has target's shape for None, one element otherwise;
// total_weight receives one element (0 for None). A fault's index is the class that is out of bounds.
IndexFault nll_forward(const View& input, const NllTarget& t, LossReduction how, const View& out,
                       void* total_weight);

// input_grad (of input's shape) is filled whole; grad has out's shape, total_weight is the forward's.
IndexFault nll_backward(const View& grad, const NllTarget& t, LossReduction how, const void* total_weight,
                        const View& input_grad);

}  // namespace pb
