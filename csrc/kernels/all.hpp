// Every kernel, once: launch_cpu.cpp and the CUDA half instantiate the same list.
#pragma once

#include "kernels/align.hpp"
#include "kernels/detections.hpp"
#include "kernels/letterbox.hpp"
#include "kernels/quality.hpp"
#include "kernels/search.hpp"

#define PYLFR_FOR_EACH_KERNEL(instantiate) \
    instantiate(CropRgb);                  \
    instantiate(DecodeScrfd);              \
    instantiate(DecodeYunet);              \
    instantiate(FitSimilarity);            \
    instantiate(Letterbox);                \
    instantiate(MeasureQuality);           \
    instantiate(Normalise);                \
    instantiate(ScoreScrfd);               \
    instantiate(ScoreYunet);               \
    instantiate(Warp);
