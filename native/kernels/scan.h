// Running results along one axis, and orders. Inputs are strided views; outputs are contiguous, of the
// input's shape unless said otherwise. A view without axes counts as one of shape (1,), axis 0. False for a
// dtype that has no kernel. Results never depend on the number of threads.
#pragma once
#include <cstdint>

#include "kernels/table.h"

namespace pb {

// Floats keep their type and accumulate in double, each output rounded once; all other types give int64.
bool cumsum(const View& in, int axis, void* out);
bool cumprod(const View& in, int axis, void* out);

// The last of equal values counts; from a NaN on everything is NaN. Values keep the input's type.
bool cummax(const View& in, int axis, void* values, int64_t* indices);
bool cummin(const View& in, int axis, void* values, int64_t* indices);

// log(sum(exp)) of everything so far. Floats only.
bool logcumsumexp(const View& in, int axis, void* out);

// s[i] = b[i] + a[i] s[i - 1] (shifted: a[i - 1]) along an axis; backwards: i + 1 in place of i - 1. Contiguous
// inputs of one shape, floats only, accumulated in double.
bool recurrence(const View& a, const View& b, int axis, bool backwards, bool shifted, void* out);

// Stable. NaN is larger than anything. `values` may be null (argsort).
bool sort(const View& in, int axis, bool descending, void* values, int64_t* indices);

// The k largest (smallest) along an axis; outputs have k in place of the axis. 0 <= k <= its size. Which of
// equal values are taken, and in which order, is what libstdc++'s selection gives, as in torch.
bool topk(const View& in, int axis, int64_t k, bool largest, bool sorted, void* values, int64_t* indices);

// The k-th smallest, counted from 1; outputs are without the axis. Of equal values torch's choice.
bool kthvalue(const View& in, int axis, int64_t k, void* values, int64_t* indices);

// The lower median of each line, which must not be empty; outputs are without the axis. Of NaN the first wins,
// unless they are left out. Of equal values the one that libstdc++'s selection gives, as in torch.
bool median(const View& in, int axis, bool ignore_nan, void* values, int64_t* indices);

}  // namespace pb
