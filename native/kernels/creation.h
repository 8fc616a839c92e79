// Tensors made from numbers. `out` is contiguous. A false result: the dtype has no storage.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace pb {

// How many elements arange has: ceil((end - start) / step), the steps towards end. Signs are checked by the
// caller.
int64_t arange_length(double start, double end, double step);
int64_t arange_length(int64_t start, int64_t end, int64_t step);

// out[i] = start + i * step. Floats in torch's rounding, where an element's last digit depends on its place.
bool arange(DType dtype, double start, double step, int64_t n, void* out);
bool arange(DType dtype, int64_t start, int64_t step, int64_t n, void* out);

// n numbers from start to end, the second half counted back from end.
bool linspace(DType dtype, double start, double end, int64_t n, void* out);
bool logspace(DType dtype, double start, double end, int64_t n, double base, void* out);

bool eye(DType dtype, int64_t rows, int64_t columns, void* out);

// Coordinates of a triangle, row by row: out is [2, count].
int64_t tril_indices_count(int64_t rows, int64_t columns, int64_t offset);
int64_t triu_indices_count(int64_t rows, int64_t columns, int64_t offset);
void tril_indices(int64_t rows, int64_t columns, int64_t offset, int64_t* out);
void triu_indices(int64_t rows, int64_t columns, int64_t offset, int64_t* out);

}  // namespace pb
